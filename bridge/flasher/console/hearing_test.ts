import { assertEquals, assertMatch } from "@std/assert";
import { Diagnosis } from "./diagnosis.ts";
import { Hearing, ROM_BAUD } from "./hearing.ts";

const SLOW = 115200;
const BOOT = "holdfast: boot version=0.1.0 board=nonos reset=external heap=31240";
const START = " ets Jan  8 2013,rst cause:2, boot mode:(3,6)";
const LOAD = "load 0x40100000, len 4096, room 16 ";
const SUM = ["tail 0", "chksum 0x8b", "csum 0x8b"];
const RAM = ["Fatal exception (0): ", "epc1=0x40100000, epc2=0x00000000, epc3=0x00000000"];

/** A page that listens to a board, in virtual time. */
class Page {
  now = 0;
  readonly diagnosis = new Diagnosis();
  readonly hearing = new Hearing(this.diagnosis, 0);
  restarts = 0;

  get headline(): string {
    return this.diagnosis.verdict.headline;
  }

  /** Nothing arrives for this many ms. */
  wait(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const next = Math.max(this.hearing.deadline, this.now);
      if (next > until) break;
      this.now = next;
      const order = this.hearing.tick(this.now);
      if (order?.restart) this.restarts++;
      if (order) assertEquals(order.baud, this.hearing.baud);
    }
    this.now = until;
  }

  hears(...lines: string[]): void {
    for (const line of lines) this.hearing.line(line, this.now);
  }

  /** Bytes that are not text at this speed. */
  hearsNoise(): void {
    this.hearing.noise(this.now);
  }
}

Deno.test("silence, and noise before the firmware's lines, leave a good board alone", () => {
  const page = new Page();
  page.hearsNoise(); // the ROM
  page.wait(1000);
  page.hears(BOOT, "holdfast: link up connects=1");
  page.wait(600_000);
  page.hearsNoise();
  page.wait(600_000);
  assertEquals([page.headline, page.hearing.baud, page.restarts], [
    "This device is on the server.",
    SLOW,
    0,
  ]);
});

Deno.test("noise alone: the board is restarted, the ROM is listened to, and its reason shown", () => {
  for (
    const [lines, words] of [
      [[" ets Jan  8 2013,rst cause:1, boot mode:(1,6)"], /GPIO0 is connected with GND/],
      [[" ets Jan  8 2013,rst cause:1, boot mode:(2,6)"], /GPIO2 is connected with GND/],
      [
        [" ets Jan  8 2013,rst cause:2, boot mode:(7,7)", "waiting for host"],
        /GPIO15 is not connected/,
      ],
      [[START, LOAD, ...SUM, "csum err", "ets_main.c "], /damaged \(wrong checksum\)/],
      [[START, "ets_main.c "], /no program in its flash/],
      [
        [START, LOAD, ...SUM, "Mo", "rf_cal[0] !=0x05,is 0xFF"],
        /settings of its radio are missing/,
      ],
      // Without a reset wire, we come into the middle of an endless loop: no line reports a start.
      [[...RAM, ...RAM, ...RAM], /GPIO2 is connected with GND/],
    ] as const
  ) {
    const page = new Page();
    page.hearsNoise();
    page.wait(8000);
    assertEquals([page.hearing.baud, page.restarts], [ROM_BAUD, 1]);
    page.hears(...lines);
    assertMatch(page.headline, words);
    assertEquals(page.diagnosis.verdict.kind, "bad");
    // It tries again and again, for the same reason.
    page.wait(9000);
    page.hears(...lines);
    page.wait(600_000);
    assertMatch(page.headline, words);
    assertEquals([page.hearing.baud, page.restarts], [ROM_BAUD, 1]);
  }
});

Deno.test("the wrong pin is corrected: the firmware is listened to again", () => {
  const page = new Page();
  page.wait(8000);
  page.hears(" ets Jan  8 2013,rst cause:2, boot mode:(1,6)");
  page.wait(60_000);
  page.hears(START, LOAD);
  page.hearsNoise();
  page.wait(1000);
  assertEquals([page.hearing.baud, page.restarts], [SLOW, 2]); // to receive all of it
  assertEquals(page.diagnosis.verdict.kind, "waiting");
  page.hearsNoise();
  page.hears(BOOT, "holdfast: wifi up ip=192.168.1.31", "holdfast: link up connects=1");
  assertEquals(page.headline, "This device is on the server.");
});

Deno.test("a pin that made the ROM crash endlessly is released: that does not count as repeated restarts", () => {
  const page = new Page();
  page.hearsNoise();
  page.wait(8000);
  for (const start of [[], [START.replace("(3,", "(2,")]]) {
    page.hears(...start, ...RAM, ...RAM, ...RAM, ...RAM);
    assertMatch(page.headline, /GPIO2 is connected with GND/);
    page.hears(START, LOAD, ...SUM);
    assertEquals(page.diagnosis.verdict.kind, "waiting");
  }
});

Deno.test("a crash before the firmware's first line counts as repeated restarts, with its number", () => {
  const page = new Page();
  page.hearsNoise();
  page.wait(8000);
  const crash = [
    START,
    LOAD,
    "Fatal exception 29(StoreProhibitedCause):",
    "epc1=0x40203d21, epc2=0",
  ];
  for (let i = 0; i < 3; i++) {
    page.hears(...crash);
    page.wait(300);
  }
  assertMatch(page.headline, /again and again: its program crashes \(exception 29\)/);
  page.wait(600_000); // it has lost its power, for example
  assertEquals(page.diagnosis.verdict.kind, "bad");
});

Deno.test("restarts that only the ROM reports: its old cause is not taken for the reason", () => {
  for (
    const [causes, words] of [
      [
        [2, 2, 2, 2, 2],
        /again and again: its program crashes before it says anything, or its power fails\./,
      ],
      [
        [1, 1, 1, 1, 1],
        /again and again: its program crashes before it says anything, or its power fails\./,
      ],
      [[2, 2, 1, 1, 1], /its power fails \(power-on\)/],
      [[2, 2, 4, 4, 4], /its program hangs.*\(watchdog\)/],
    ] as const
  ) {
    const page = new Page();
    page.hearsNoise();
    page.wait(8000);
    for (const cause of causes) {
      assertEquals(page.diagnosis.verdict.kind, "waiting", `${causes}`);
      page.hears(START.replace("cause:2", `cause:${cause}`), LOAD, ...SUM);
      page.wait(3000);
    }
    assertMatch(page.headline, words);
  }
});

Deno.test("requested restarts do not count as watchdog resets, although the ROM repeats the old cause", () => {
  const page = new Page(); // a crystal of 40 MHz
  const wdt = START.replace("cause:2", "cause:4");
  page.hears(START, LOAD, ...again("external"));
  page.hears(wdt, "wdt reset", LOAD, ...again("watchdog", "holdfast: link up connects=1"));
  for (let i = 0; i < 5; i++) {
    page.hears("holdfast: settings changed: restarting", wdt, "wdt reset", LOAD);
    page.hears(...again("software", "holdfast: link up connects=1"));
  }
  for (let i = 0; i < 5; i++) page.hears(wdt, "wdt reset", LOAD, ...again("wake"));
  page.hears("holdfast: link up connects=1");
  assertEquals(page.headline, "This device is on the server.");
});

Deno.test("a chip that loads its program and then says nothing: a part of it is missing", () => {
  for (const lines of [[LOAD, ...SUM], ["load 0xffffffff, len -1, room 16 "]]) {
    const page = new Page();
    page.hearsNoise();
    page.wait(8000);
    page.hears(START, ...lines);
    page.wait(600_000);
    assertMatch(page.headline, /loads a program, and then says nothing more/);
    assertMatch(page.diagnosis.verdict.tries.join(" "), /a part of the program may be missing/);
    assertEquals(page.restarts, 1);
  }
});

Deno.test("another program: the page says what it can, and then leaves the board alone", () => {
  const silent = new Page();
  silent.wait(600_000);
  assertMatch(silent.headline, /says nothing/);
  assertEquals([silent.hearing.baud, silent.restarts], [SLOW, 1]);

  const other = new Page();
  other.hears("MicroPython v1.19");
  other.wait(8000);
  other.hears(START, LOAD);
  other.hearsNoise();
  other.wait(1000);
  assertMatch(other.headline, /starts a program, but it does not speak as Holdfast/);
  other.hears("MicroPython v1.19");
  other.wait(600_000);
  assertEquals([other.hearing.baud, other.restarts], [SLOW, 1]);

  const noise = new Page();
  for (let i = 0; i < 100; i++) {
    noise.hearsNoise();
    noise.wait(1000);
  }
  assertMatch(noise.headline, /cannot be read/);
  assertEquals(noise.restarts, 1);
});

Deno.test("a board without reset wires: the ROM's words are received when RESET is pressed", () => {
  const page = new Page();
  page.hearsNoise(); // somebody has pressed it
  page.wait(8000 + 12_000);
  assertMatch(page.headline, /cannot be read/);
  assertMatch(page.diagnosis.verdict.tries.join(" "), /Press RESET/);
  page.wait(60_000);
  page.hears(START, LOAD, "csum err", "ets_main.c ");
  assertMatch(page.headline, /wrong checksum/);
});

Deno.test("the speed does not change once the board answers", () => {
  const page = new Page();
  page.wait(5000);
  page.hearing.frame(page.now);
  page.wait(600_000);
  assertMatch(page.headline, /runs something, but not Holdfast/);
  assertEquals([page.hearing.baud, page.restarts], [SLOW, 0]);
});

Deno.test("a board that stops in the middle is not waited for endlessly", () => {
  for (
    const last of ["wifi joining ssid=Home", "wifi up ip=10.0.0.2", "settings changed: restarting"]
  ) {
    const page = new Page();
    page.hears(BOOT, `holdfast: ${last}`);
    page.wait(600_000);
    assertEquals(page.diagnosis.verdict.kind, "bad", last);
    assertMatch(page.headline, /nothing more for a while/);
    page.hears("holdfast: link up connects=1");
    assertEquals(page.diagnosis.verdict.kind, "good");
  }
});

/** The firmware's first line after a restart for this reason, and what it says next. */
function again(reason: string, ...rest: string[]): string[] {
  return [BOOT.replace("external", reason), ...rest];
}

Deno.test("repeated restarts are reported with their reason, also when the server is reached in between", () => {
  for (
    const [reason, times, words] of [
      ["exception", 2, /its program crashes \(exception\)/],
      ["watchdog", 2, /its program hangs.*\(watchdog\)/],
      ["power-on", 3, /its power fails \(power-on\)/],
      ["external", 3, /its power dips \(external\)/],
      ["software", 3, /its program restarts it \(software\)/],
      ["moon", 3, /\(moon\)/],
    ] as const
  ) {
    const page = new Page();
    page.hears(...again("external", "holdfast: link up connects=1"));
    for (let i = 1; i <= times; i++) {
      assertEquals(page.diagnosis.verdict.kind, "good", `${reason}, ${i}`);
      page.wait(4000);
      page.hears(...again(reason, "holdfast: link up connects=1"));
    }
    assertEquals(page.diagnosis.verdict.kind, "bad", reason);
    assertMatch(page.headline, words);
    assertMatch(page.headline, /restarts again and again/);
    // Once it has run for long enough, its own report counts.
    page.wait(19_000);
    assertEquals(page.diagnosis.verdict.kind, "bad");
    page.wait(2000);
    assertEquals(page.headline, "This device is on the server.");
  }
});

Deno.test("restarts that were requested, or are far apart, do not count as repeated", () => {
  const page = new Page();
  page.hears(...again("external"));
  for (let i = 0; i < 5; i++) {
    page.hears("holdfast: settings changed: restarting", ...again("software"));
  }
  for (let i = 0; i < 5; i++) page.hears(...again("wake"));
  page.hears("holdfast: link up connects=1");
  for (let i = 0; i < 5; i++) {
    page.wait(130_000);
    page.hears(...again("exception", "holdfast: link up connects=1"));
  }
  assertEquals(page.headline, "This device is on the server.");
});

Deno.test("one start is counted once, whoever reports it", () => {
  const page = new Page(); // a crystal of 40 MHz: the ROM has the firmware's speed
  page.hears(START, LOAD, ...again("external"));
  page.wait(1000);
  page.hears("Fatal exception 0(IllegalInstructionCause):", START, LOAD, ...again("exception"));
  assertEquals(page.diagnosis.verdict.kind, "waiting");
  page.wait(1000);
  const wdt = " ets Jan  8 2013,rst cause:4, boot mode:(3,6)";
  page.hears(wdt, "wdt reset", LOAD, ...again("watchdog"));
  assertMatch(page.headline, /again and again: its program hangs/);
});

Deno.test("half lines and rubbish that look like the ROM's lead to no wrong verdict", () => {
  const page = new Page();
  page.hears(
    "rst cause:",
    "boot mode:(",
    "oad 0x40100000, len",
    "rst cause:x, boot mode:(y,z)",
    "exception handling",
  );
  assertEquals(page.diagnosis.verdict.kind, "waiting");
  assertEquals(page.diagnosis.deadline, Infinity);
});
