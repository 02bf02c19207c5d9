import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Diagnosis } from "./diagnosis.ts";
import { LineReader } from "./lines.ts";
import { parseReport } from "./report.ts";

const BOOT = [
  "holdfast: boot version=0.1.0 board=nonos reset=external heap=31240",
  "holdfast: settings id=kitchen server=192.168.1.10:8123 ssid=Home%20Sweet%20Home key=yes",
  "holdfast: application name=main bytes=4472",
];
const JOINED = [
  ...BOOT,
  "holdfast: wifi joining ssid=Home%20Sweet%20Home",
  "holdfast: wifi up ip=192.168.1.31",
];

function after(...lines: string[]): Diagnosis {
  const diagnosis = new Diagnosis();
  for (const line of lines) diagnosis.push(line);
  return diagnosis;
}

Deno.test("a board that gets on the server: every step is good", () => {
  const diagnosis = after(
    ...JOINED,
    "holdfast: link connecting server=192.168.1.10:8123",
    "holdfast: link up connects=1",
  );
  assertEquals(diagnosis.verdict, {
    kind: "good",
    headline: "This device is on the server.",
    tries: [],
  });
  assertEquals(diagnosis.steps.map(({ state }) => state), Array(5).fill("good"));
  assertStringIncludes(diagnosis.steps[3]!.text, "Home Sweet Home, address 192.168.1.31");
  assert(diagnosis.settled);
});

Deno.test("as long as nothing is certain, it says what is waited for", () => {
  assertEquals(after().verdict.kind, "waiting");
  assertEquals(after(...BOOT).settled, false);
  assertStringIncludes(after(...JOINED).verdict.headline, "192.168.1.10:8123");
});

/** The last line, and what people are told. */
const reasons: [line: string, headline: RegExp, advice: RegExp][] = [
  ["settings blank: waiting for settings", /no settings yet/, /Write these/],
  ["settings damaged (checksum): waiting for settings", /settings .* damaged/, /flash/],
  ["settings incomplete: waiting for settings", /not complete/, /flash/],
  ["application missing", /no application/, /Choose an application/],
  ["application damaged (checksum)", /application .* damaged/, /flash/],
  ["application refused: needs board.foo", /cannot run .* needs board\.foo/, /another flavour/],
  ["application refused: too large for the memory", /too large for the memory/, /another flavour/],
  ["application failed: unreachable", /has a fault: unreachable/, /another/],
  ["wifi down reason=not-found", /no WiFi called Home Sweet Home/, /2\.4 GHz/],
  ["wifi down reason=wrong-password", /does not accept the password/, /password/],
  ["wifi down reason=lost", /gone again/, /closer/],
  ["wifi down reason=refused", /does not let the board in/, /MAC address/],
  ["link down reason=NO_ANSWER", /192\.168\.1\.10:8123: nothing answers/, /server running/],
  ["link down reason=NO_GREETING", /does not speak/, /port right/],
  ["link down reason=BAD_PROOF", /key .* another one/, /keys add kitchen --key - --replace/],
  ["link down reason=BAD_GREETING", /greets otherwise/, /same version/],
  ["link down reason=SILENT", /nothing was heard/, /WiFi weak/],
  ["link down reason=REFUSED code=01", /no key for this device/, /keys add kitchen --key -/],
  ["link down reason=REFUSED code=02", /not the one/, /keys add kitchen --key - --replace/],
  ["link down reason=REFUSED code=03", /the board has none/, /keys remove kitchen/],
  ["link down reason=REFUSED code=04", /cannot prove itself/, /keys add kitchen --key -/],
  ["link down reason=REFUSED code=05", /does not understand/, /same version/],
  ["link down reason=REFUSED code=06", /as many devices/, /--limit/],
];

Deno.test("what keeps a board from the server is said exactly, with what to try", () => {
  for (const [line, headline, advice] of reasons) {
    const { verdict } = after(...JOINED, `holdfast: ${line}`);
    assertEquals(verdict.kind, "bad", line);
    assertMatch(verdict.headline, headline);
    assertMatch(verdict.tries.join(" "), advice);
  }
});

Deno.test("settings that were changed from outside are no fault", () => {
  const { verdict, steps } = after(...JOINED, "holdfast: settings changed: restarting");
  assertEquals(verdict.kind, "waiting");
  assertEquals(steps[1]!.state, "waiting");
});

Deno.test("a reason that is not known is shown as it is", () => {
  for (
    const line of [
      "link down reason=NEW_THING",
      "link down reason=REFUSED code=7f",
      "wifi down reason=odd",
    ]
  ) {
    const { verdict } = after(...JOINED, `holdfast: ${line}`);
    assertEquals(verdict.kind, "bad");
    assertStringIncludes(verdict.headline, line.match(/reason=(\S+)/)![1]!);
  }
});

Deno.test("a fault stays in sight while the board tries again, and is gone when it succeeds or boots", () => {
  const again = ["holdfast: link connecting server=192.168.1.10:8123"];
  const failed = [...JOINED, "holdfast: link down reason=NO_ANSWER", ...again];
  assertEquals(after(...failed).verdict.kind, "bad");
  assertEquals(after(...failed, "holdfast: link up connects=1").verdict.kind, "good");
  assertEquals(after(...failed, BOOT[0]!).verdict.kind, "waiting");
  assertEquals(after(...failed, BOOT[0]!).steps.length, 1);
});

Deno.test("a board that says nothing, or nothing of ours", () => {
  const silent = after();
  assert(silent.overdue());
  assertMatch(silent.verdict.headline, /says nothing/);
  assertMatch(silent.verdict.tries[0]!, /RESET/);
  const other = after("MicroPython v1.19");
  assert(other.overdue());
  assertMatch(other.verdict.headline, /not Holdfast/);
  assertEquals(after(BOOT[0]!).overdue(), false);
});

Deno.test("lines that only look like the firmware's change nothing", () => {
  for (
    const line of [
      "",
      "holdfast:",
      "holdfast: ",
      "holdfast: other a=b",
      "app: holdfast: link up",
      " holdfast: link up",
    ]
  ) {
    assertEquals(after().push(line), false, line);
    assertEquals(parseReport(line), undefined, line);
  }
});

Deno.test("values are decoded, also where they are damaged", () => {
  const report = parseReport("holdfast: settings id=a%20%25%C3%BC%0A ssid=50%zz key=yes x==");
  assertEquals(report?.values, { id: "a %ü\n", ssid: "50%zz", key: "yes", x: "=" });
});

Deno.test("lines are lines, wherever they are cut, and noise is left out", () => {
  const text = "\x00\xff\x8f\u0080\r\nholdfast: boot version=1\r\napp: grüße\nx\r\n";
  const bytes = new TextEncoder().encode(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const reader = new LineReader();
    const lines = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))];
    assertEquals(lines, ["holdfast: boot version=1", "app: grüße", "x"]);
  }
  const noisy = new LineReader();
  assertEquals(
    noisy.push(Uint8Array.of(0xfe, 0x80, 0x9a, ...new TextEncoder().encode("holdfast: x\n"))),
    [
      "holdfast: x",
    ],
  );
});

Deno.test("a board that never ends a line does not fill the page", () => {
  const reader = new LineReader();
  const lines = reader.push(new TextEncoder().encode("a".repeat(10_000)));
  assert(lines.every((line) => line.length <= 400));
  assertEquals(lines.length, 24);
});
