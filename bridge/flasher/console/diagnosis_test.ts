import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Diagnosis, type Verdict } from "./diagnosis.ts";
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

const ON_SERVER = "This device is on the server.";

function after(...lines: string[]): Diagnosis {
  const diagnosis = new Diagnosis();
  for (const line of lines) diagnosis.push(line);
  return diagnosis;
}

Deno.test("a board that reaches the server: every step is good", () => {
  const diagnosis = after(
    ...JOINED,
    "holdfast: link connecting server=192.168.1.10:8123",
    "holdfast: link up connects=1",
  );
  assertEquals(diagnosis.verdict, {
    kind: "good",
    headline: ON_SERVER,
    tries: [],
  });
  assertEquals(diagnosis.steps.map(({ state }) => state), Array(5).fill("good"));
  assertStringIncludes(diagnosis.steps[3]!.text, "Home Sweet Home, address 192.168.1.31");
  assert(diagnosis.settled);
});

Deno.test("as long as nothing is certain, it says what it waits for", () => {
  assertEquals(after().verdict.kind, "waiting");
  assertEquals(after(...BOOT).settled, false);
  assertStringIncludes(after(...JOINED).verdict.headline, "192.168.1.10:8123");
});

/** The last line, and what the user is told. */
const reasons: [line: string, headline: RegExp, advice: RegExp][] = [
  ["settings blank: waiting for settings", /no settings yet/, /Send these settings/],
  ["settings damaged (checksum): waiting for settings", /settings .* damaged/, /flash/],
  ["settings incomplete: waiting for settings", /not complete/, /flash/],
  ["application missing", /no application/, /Choose an application/],
  ["application damaged (checksum)", /application .* damaged/, /flash/],
  ["application refused: needs board.foo", /cannot run .* needs board\.foo/, /another firmware/],
  ["application refused: too large for the memory", /too large for the memory/, /another firmware/],
  ["application failed: unreachable", /has a fault: unreachable/, /another/],
  ["wifi down reason=not-found", /no WiFi called Home Sweet Home/, /2\.4 GHz/],
  ["wifi down reason=wrong-password", /does not accept the password/, /password/],
  ["wifi down reason=wrong-password", /does not accept the password/, /weak signal/],
  ["wifi down reason=not-found", /no WiFi called/, /hidden.*country/],
  ["wifi down reason=no-dhcp", /lets the board in, but gives it no address/, /DHCP.*fixed address/],
  ["wifi down reason=no-answer", /does not answer the board/, /closer/],
  ["wifi down reason=lost", /gone again/, /closer/],
  ["wifi down reason=refused", /does not let the board in/, /MAC address/],
  ["link down reason=NO_ANSWER", /192\.168\.1\.10:8123: nothing answers/, /server running/],
  ["link down reason=NO_ADDRESS", /no address is known/, /\.local/],
  ["link down reason=NO_ADDRESS name=local", /no address is known/, /IPv4 address/],
  ["link down reason=NO_GREETING", /does not speak/, /port right/],
  ["link down reason=BAD_PROOF", /key .* another one/, /keys add kitchen --key - --replace/],
  ["link down reason=BAD_GREETING", /does not understand its greeting/, /same version/],
  ["link down reason=SILENT", /nothing was heard/, /WiFi weak/],
  ["link down reason=REFUSED code=01", /boards with a key only/, /Make one.*--open/],
  ["link down reason=REFUSED code=02", /not the one/, /keys add kitchen --key - --replace/],
  ["link down reason=REFUSED code=03", /the board has none/, /keys remove kitchen/],
  [
    "link down reason=REFUSED code=04",
    /does not know this board’s key/,
    /keys add kitchen --key -/,
  ],
  ["link down reason=REFUSED code=05", /does not understand/, /same version/],
  [
    "link down reason=REFUSED code=06",
    /no room for another device without a key/,
    /Make one.*--limit devices=20000/,
  ],
  [
    "link down reason=REFUSED code=04",
    /does not know/,
    /`npx -y deno@\S+ run -A server\/main\.ts --keys keys\.json --app main`/,
  ],
];

Deno.test("the exact reason why a board is not on the server is shown, with what to try", () => {
  for (const [line, headline, advice] of reasons) {
    const { verdict } = after(...JOINED, `holdfast: ${line}`);
    assertEquals(verdict.kind, "bad", line);
    assertMatch(verdict.headline, headline);
    assertMatch(verdict.tries.join(" "), advice);
  }
});

Deno.test("an application that comes over the link is reported: on its way, kept, or rolled back, and why", () => {
  const up = [...JOINED, "holdfast: link up connects=1"];
  const came = [...up, "holdfast: deploy name=next bytes=5000 from=0"];
  const whole = after(...came, "holdfast: deploy complete: restarting");
  assertEquals(whole.verdict.headline, ON_SERVER, "what it does meanwhile is not an error");
  assertMatch(whole.steps.at(-1)!.text, /restarts into it/);
  const restarted = BOOT[0]!.replace("external", "software");
  const kept = after(...came, restarted, ...up.slice(1), "holdfast: application kept");
  assertEquals(kept.verdict.headline, ON_SERVER);
  assert(kept.steps.every(({ state }) => state === "good"));
  for (
    const [reason, why] of [
      ["heap", "it took too much memory"],
      ["hang", "it hung"],
      ["trap", "it trapped"],
      ["toString", "toString"],
    ]
  ) {
    const fell = after(...came, restarted, `holdfast: application fell back reason=${reason}`);
    assertEquals(fell.verdict.kind, "waiting");
    assertStringIncludes(fell.verdict.headline, why!);
    for (const line of [restarted, ...up.slice(1)]) fell.push(line);
    assertEquals(fell.verdict.headline, ON_SERVER);
  }
  const refused = after(...up, "holdfast: deploy refused reason=import");
  assertEquals(refused.verdict.headline, ON_SERVER);
  assertEquals(refused.steps.at(-1)!.text, "refused: import");
});

/** The firmware for a Pyboard, as it starts with a blank or valid sector. */
const PYBOARD = [BOOT[0]!, "holdfast: application name=pyboard in=firmware"];

Deno.test("a board that a Pyboard configures is fine while it waits for that", () => {
  const waits: Verdict = {
    kind: "good",
    headline: "The firmware runs, and waits for the Pyboard.",
    tries: [],
  };
  const started = after(...PYBOARD, "app: initiator link waiting");
  assertEquals(started.verdict, waits);
  assert(started.settled);
  assertEquals(started.steps.map(({ text }) => text), [
    "started, version 0.1.0",
    "pyboard, in the firmware",
  ]);
  const told = [
    ...PYBOARD,
    "app: initiator configured",
    "holdfast: settings id=shed server=192.168.1.10:8123 ssid=Home%20Sweet%20Home key=no",
  ];
  assertEquals(after(...told).verdict.kind, "waiting");
  assertStringIncludes(after(...told).verdict.headline, "192.168.1.10:8123. Joining");
  const up = [...told, "holdfast: wifi up ip=192.168.1.31"];
  assertMatch(after(...up).verdict.headline, /in the WiFi.*192\.168\.1\.10:8123/);
  const linked = after(...up, "holdfast: link up connects=1").verdict;
  assertEquals(linked, { ...waits, headline: "The Pyboard is on the server." });
  // The Pyboard has reset it, or it has new firmware.
  assertEquals(after(...up, ...PYBOARD).verdict, waits);
  assertEquals(after(...up, ...BOOT, "holdfast: link up connects=1").verdict.headline, ON_SERVER);
});

Deno.test("if a Pyboard's board is not on the server, the advice points to its configuration first", () => {
  const told = (ssid: string) => [
    ...PYBOARD,
    `holdfast: settings id=shed server=192.168.1.10:8123 ssid=${ssid} key=no`,
  ];
  for (
    const [line, headline, advice] of [
      ["wifi down reason=not-found", /no WiFi called Home/, /2\.4 GHz/],
      ["link down reason=NO_ANSWER", /nothing answers/, /server running/],
      ["link down reason=REFUSED code=04", /does not know/, /keys add shed --key -/],
      ["link down reason=NEW_THING", /NEW_THING/, /./],
    ] as const
  ) {
    const { verdict } = after(...told("Home"), `holdfast: ${line}`);
    assertEquals(verdict.kind, "bad", line);
    assertMatch(verdict.headline, headline);
    assertMatch(verdict.tries[0]!, /the Pyboard’s configuration/);
    assertMatch(verdict.tries.join(" "), advice);
  }
  const none = after(...told("")).verdict;
  assertEquals(none.kind, "bad");
  assertMatch(none.headline, /names no WiFi, and none is stored/);
});

Deno.test("damaged settings do not stop a board that needs none, but are reported", () => {
  const [boot, application] = PYBOARD as [string, string];
  const damaged = "holdfast: settings damaged (magic): waiting for settings";
  const { verdict, steps } = after(boot, damaged, application);
  assertEquals(verdict.kind, "good");
  assertMatch(verdict.headline, /waits for the Pyboard.*damaged, and not used/);
  assertEquals(steps[1], { name: "Settings", state: "bad", text: "damaged (magic)" });
  // An application in the firmware that needs settings waits for them.
  const other = after(boot, damaged, "holdfast: application name=main in=firmware").verdict;
  assertMatch(other.headline, /settings .* damaged, so it waits/);
  // Nor is an application in flash part of the firmware, whatever its name.
  const named = after(boot, damaged, "holdfast: application name=pyboard bytes=4472").verdict;
  assertEquals(named.kind, "bad");
});

Deno.test("settings that were changed from outside are not an error", () => {
  const { verdict, steps } = after(...JOINED, "holdfast: settings changed: restarting");
  assertEquals(verdict.kind, "waiting");
  assertEquals(steps[1]!.state, "waiting");
});

Deno.test("settings that were erased on purpose are not an error; other missing settings are", () => {
  const erased = new Diagnosis({ erased: true });
  for (const line of [BOOT[0]!, "holdfast: settings blank: waiting for settings"]) {
    erased.push(line);
  }
  assertEquals(erased.verdict, {
    kind: "good",
    headline: "The settings are erased, as you wanted. The board waits for new ones.",
    tries: [],
  });
  assertEquals([erased.waitsForSettings, erased.settled], [true, true]);
  erased.push("holdfast: settings incomplete: waiting for settings");
  assertEquals(erased.verdict.kind, "bad");
  for (const line of JOINED) erased.push(line);
  assertEquals(erased.waitsForSettings, false);
  const blank = after(BOOT[0]!, "holdfast: settings blank: waiting for settings");
  assertEquals([blank.verdict.kind, blank.waitsForSettings], ["bad", true]);
});

Deno.test("an unknown reason is shown as it is", () => {
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

Deno.test("a failure stays visible while the board tries again, and disappears when it succeeds or boots", () => {
  const again = ["holdfast: link connecting server=192.168.1.10:8123"];
  const failed = [...JOINED, "holdfast: link down reason=NO_ANSWER", ...again];
  assertEquals(after(...failed).verdict.kind, "bad");
  assertEquals(after(...failed, "holdfast: link up connects=1").verdict.kind, "good");
  assertEquals(after(...failed, BOOT[0]!).verdict.kind, "waiting");
  assertEquals(after(...failed, BOOT[0]!).steps.length, 1);
});

Deno.test("a board that says nothing, or only what our firmware would not say, has its own verdict", () => {
  const silent = after();
  assert(silent.overdue());
  assertMatch(silent.verdict.headline, /says nothing/);
  assertMatch(silent.verdict.tries[0]!, /RESET/);
  assertMatch(silent.verdict.tries.join(" "), /DOUT/);
  const other = after("MicroPython v1.19");
  assert(other.overdue());
  assertMatch(other.verdict.headline, /not Holdfast/);
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

Deno.test("values are decoded; a malformed escape stays as it is", () => {
  const report = parseReport("holdfast: settings id=a%20%25%C3%BC%0A ssid=50%zz key=yes x==");
  assertEquals(report?.values, { id: "a %ü\n", ssid: "50%zz", key: "yes", x: "=" });
});

Deno.test("a crash is reported with its cause, and repeated ones with their number", () => {
  for (
    const [cause, words] of [
      [
        0,
        /ran into something that is no instruction \(exception 0, at 40214b12, address 00000004\)/,
      ],
      [28, /read from where no memory is \(exception 28, at 40214b12, address 00000004\)/],
      [29, /wrote to where no memory is \(exception 29,/],
      [63, /did something that the chip does not allow \(exception 63,/],
    ] as const
  ) {
    const line = `holdfast: crash cause=${cause} at=40214b12 address=00000004`;
    const crashed = [BOOT[0]!.replace("external", "exception"), line, ...JOINED.slice(1)];
    const once = after(...crashed, "holdfast: link up connects=1");
    assertEquals(once.verdict.headline, ON_SERVER);
    assertEquals([once.steps[1]!.name, once.steps[1]!.state], ["Last crash", "bad"]);
    assertMatch(once.steps[1]!.text, words);
    const loop = after(...crashed, ...crashed);
    assertStringIncludes(loop.verdict.headline, `its program crashes (exception ${cause})`);
  }
  assertEquals(after(BOOT[0]!, "holdfast: crash").steps.length, 1);
});

Deno.test("a ROM message that stops in the middle of a line is recognised at once", () => {
  const text = "\r\n ets Jan  8 2013,rst cause:1, boot mode:(3,7)\r\n\r\nets_main.c ";
  const lines = [" ets Jan  8 2013,rst cause:1, boot mode:(3,7)", "ets_main.c "];
  const bytes = new TextEncoder().encode(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const reader = new LineReader();
    const heard =
      () => [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))];
    assertEquals([...heard(), ...heard()], [...lines, ...lines]); // and again after a reset
  }
});

Deno.test("lines are put together wherever they are cut, and noise is left out", () => {
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
