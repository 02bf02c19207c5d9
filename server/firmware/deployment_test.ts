/** A deploy alone: the server's half against a model of the device's, and against whatever a device might say. */
import { assert, assertEquals } from "@std/assert";
import { Dialect2Rig } from "../../tests/support/dialect2_rig.ts";
import { hashOf, ModelFirmware, type ModelOptions } from "../../tests/support/model_firmware.ts";
import { type Random, randomTest } from "../../tests/support/random.ts";
import { base64, DEPLOY_KINDS, type Offer, parseDeployWord } from "../protocol/firmware_lines.ts";
import { Deployment, imageOf, isDecided, type Line, runningOf } from "./deployment.ts";

const KEY = new Uint8Array(32).fill(7);

/** An application of so many bytes. */
function image(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, n) => (n * 31 + seed * 17) & 255);
}

/** A server's deploy and a device on a link in the hands of the test. */
class Rig implements Line {
  readonly link = new Dialect2Rig();
  device: ModelFirmware;
  deployment: Deployment;
  date = 1000;
  key: Uint8Array | undefined;
  readonly phases: string[] = [];
  /** What the server has said. */
  readonly said: string[] = [];
  #id = 0; // of the device's next message
  #boots = 0;
  /** Whether the device sees the ack when it has said that it fell back. */
  hearsOfFalls = true;

  constructor(options: ModelOptions = {}) {
    this.device = new ModelFirmware(options);
    this.key = options.key;
    this.deployment = new Deployment(this);
  }

  get record() {
    return this.link.record;
  }

  get takesFirmware() {
    return this.link.session.takesFirmware;
  }

  get lineBytes() {
    return this.link.session.lineBytes;
  }

  tell(text: string, arrived: () => void): void {
    this.link.session.tell(text, arrived, this.link.now);
  }

  changed(): void {
    const { phase } = this.deployment.state!;
    if (this.phases.at(-1) !== phase) this.phases.push(phase);
  }

  get phase(): string {
    return this.deployment.state!.phase;
  }

  begin(bytes: Uint8Array, { version = 4, older = false, again = false } = {}): void {
    const hash = hashOf(bytes);
    const offer: Offer = { name: "new", version, hash, size: bytes.length, older, again };
    this.deployment.begin(offer, base64(bytes));
  }

  /** The server is started again on what it remembers. */
  restart(): void {
    this.link.session.disconnect();
    this.deployment = new Deployment(this);
  }

  /** The device connects. @param keeps It knows what it has taken. */
  connect(keeps = true): void {
    const { record } = this.link;
    const { txEpoch, rxNext } = record.positions;
    const knows = keeps && this.#boots > 0;
    this.#boots++;
    this.#id = rxNext;
    this.link.connect({
      metadata: this.device.metadata,
      line: 121,
      rxEpoch: knows ? txEpoch : 0,
      rxNext: knows ? this.#expected : 0,
      txFirst: rxNext,
    });
    this.#expected = record.txFirst;
    this.deployment.greeted(this.device.metadata);
    this.link.hears("\n");
    this.#answer(this.device.up());
    if (this.hearsOfFalls) this.device.told();
  }

  #expected = 0;

  #answer(texts: string[]): void {
    for (const text of texts) {
      this.deviceSays(text);
      const [kind, ...words] = text.slice(1).split(" ");
      const word = parseDeployWord(kind as typeof DEPLOY_KINDS[number], words);
      if (word) assert(this.deployment.told(word), `${JSON.stringify(text)} is nothing`);
    }
  }

  /** A message of the device is taken. */
  deviceSays(text: string): void {
    this.link.hears(`${(this.#id++ & 255).toString(16).padStart(2, "0")}${text}\n`);
  }

  /** Carries messages until nothing comes any more, or the device wants to restart. @returns whether anything came */
  carry(most = Infinity): boolean {
    let count = 0;
    while (count < most && !this.device.restarts) {
      this.link.flush();
      const lines = this.link.said().filter((line) => line.length > 2);
      if (lines.length === 0) break;
      for (const line of lines) {
        count++;
        this.#expected = (this.#expected + 1) >>> 0;
        const text = line.slice(2);
        if (text !== "\0") {
          this.said.push(text);
          this.#answer(this.device.hears(text));
        }
        this.link.hears(`${line.slice(0, 2)}\n`);
        if (this.device.restarts || count >= most) break;
      }
    }
    return count > 0;
  }

  /** The device does as it wants: restarts into the new one, which is good or not. */
  run(fall?: string): void {
    this.carry();
    while (this.device.restarts) {
      this.link.lose();
      this.device.boot();
      this.connect();
      if (this.device.onTrial) {
        this.carry();
        if (fall === undefined) this.#answer([this.device.pass()]);
        else this.device.fail(fall);
      }
      this.carry();
    }
  }
}

Deno.test("an application travels, is tried and kept, and then its bytes are here no more", () => {
  for (const key of [undefined, KEY]) {
    const rig = new Rig(key ? { key } : {});
    rig.connect();
    const bytes = image(5000);
    rig.begin(bytes);
    assertEquals(imageOf(rig.record) !== undefined, true);
    rig.run();
    assertEquals(rig.phases, ["waits", "offered", "sending", "checking", "trial", "kept"]);
    assertEquals(rig.device.runs.hash, hashOf(bytes));
    assertEquals(imageOf(rig.record), undefined);
    assertEquals(runningOf(rig.record), {
      name: "new",
      version: 4,
      hash: hashOf(bytes).slice(0, 8),
    });
    assert(rig.said.every((text) => text.length <= 121), "all of it fits the shortest line");
    assertEquals(rig.device.erased, 1);
  }
});

Deno.test("two pieces are on their way at most, so messages of applications wait behind these alone", () => {
  const rig = new Rig();
  rig.connect();
  rig.begin(image(20_384));
  rig.carry(1);
  for (let n = 0; n < 20; n++) {
    assert(rig.link.record.outbox.length <= 2, `${rig.link.record.outbox.length} wait`);
    rig.carry(1);
  }
  rig.link.write("hello");
  assertEquals(rig.link.record.outbox.at(-1)!.text, "hello");
});

Deno.test("what was interrupted goes on where it stood: by outages, and by restarts of either end", () => {
  for (const break_ of ["outage", "device", "server", "power"]) {
    const rig = new Rig();
    rig.connect();
    const bytes = image(5001);
    rig.begin(bytes);
    for (let n = 0; n < 8; n++) {
      rig.carry(9);
      rig.link.lose();
      if (break_ === "server") rig.restart();
      if (break_ === "device") rig.device.boot();
      if (break_ === "power") {
        rig.device.tear(n % 3);
        rig.device.boot();
      }
      rig.connect(break_ !== "power");
    }
    const pieces = () => rig.said.filter((text) => text.startsWith("\x02p")).length;
    rig.run();
    assertEquals(rig.phase, "kept", break_);
    assertEquals(rig.device.runs.hash, hashOf(bytes));
    assertEquals(rig.device.erased, 1, `${break_}: it does not begin again`);
    assert(pieces() < 90, `${break_}: ${pieces()} pieces of 60`);
  }
});

Deno.test("what fell back is not tried again unless somebody says so, and then once", () => {
  const rig = new Rig();
  rig.connect();
  const bytes = image(100);
  rig.begin(bytes);
  rig.run("trap");
  const { phase, reason } = rig.deployment.state!;
  assertEquals([phase, reason, rig.device.trials.length], ["fell_back", "trap", 1]);
  assertEquals(rig.device.runs.name, "kitchen");
  rig.begin(bytes);
  rig.run();
  assertEquals([rig.phase, rig.deployment.state!.reason], ["refused", "failed"]);
  rig.begin(bytes, { again: true });
  rig.run("hang");
  assertEquals([rig.phase, rig.deployment.state!.reason], ["fell_back", "hang"]);
  assertEquals(rig.device.trials.length, 2);
  rig.begin(bytes, { again: true });
  rig.run();
  assertEquals([rig.phase, rig.device.trials.length], ["kept", 3]);
});

Deno.test("a device that fell back, and has told an older server, says that it failed: it is not tried again", () => {
  const rig = new Rig();
  rig.connect();
  rig.begin(image(100), { again: true });
  rig.carry();
  rig.link.lose();
  rig.device.boot(); // on trial
  rig.device.boot(); // it crashed
  rig.device.told();
  rig.connect(false);
  rig.carry();
  assertEquals([rig.phase, rig.deployment.state!.reason], ["fell_back", "unknown"]);
  assertEquals(rig.device.trials.length, 1);
});

Deno.test("why it fell back may come behind the answer to an offer", () => {
  for (const says of [true, false]) {
    const rig = new Rig();
    rig.hearsOfFalls = false;
    rig.connect();
    rig.begin(image(100));
    rig.carry();
    rig.link.lose();
    rig.device.boot(); // on trial
    rig.device.fail("hang");
    rig.device.boot();
    const [why] = rig.device.up();
    rig.device.up = () => [];
    rig.connect();
    const { hears } = rig.device;
    rig.device.hears = (text) => {
      const answers = hears.call(rig.device, text);
      rig.device.hears = hears;
      return says ? [...answers, why!] : answers;
    };
    rig.carry();
    const { phase, reason } = rig.deployment.state!;
    assertEquals([phase, reason], ["fell_back", says ? "hang" : "unknown"]);
  }
});

Deno.test("why it fell back may come more than once, and of something else than what is deployed now", () => {
  const rig = new Rig();
  rig.hearsOfFalls = false;
  rig.connect();
  rig.begin(image(100));
  rig.run("heap");
  assertEquals([rig.phase, rig.deployment.state!.reason], ["fell_back", "heap"]);
  rig.begin(image(200), { version: 5 });
  rig.link.lose();
  rig.device.boot();
  rig.connect();
  rig.hearsOfFalls = true;
  rig.run();
  assertEquals(rig.phase, "kept");
});

Deno.test("what a device refuses is decided, with its reason, and no byte of it has travelled", () => {
  const rig = new Rig({ key: KEY, room: 200, unfit: () => "import board.fly" });
  rig.connect();
  rig.begin(image(100), { version: 2 });
  rig.carry();
  assertEquals([rig.phase, rig.deployment.state!.reason], ["refused", "older"]);
  rig.begin(image(300));
  rig.carry();
  assertEquals([rig.phase, rig.deployment.state!.reason], ["refused", "size"]);
  rig.key = new Uint8Array(32);
  rig.begin(image(100));
  rig.carry();
  assertEquals([rig.phase, rig.deployment.state!.reason], ["refused", "mac"]);
  rig.key = undefined;
  rig.begin(image(100));
  rig.carry();
  assertEquals([rig.phase, rig.deployment.state!.reason], ["refused", "mac"]);
  assertEquals(rig.said.filter((text) => text.startsWith("\x02p")), []);
  rig.key = KEY;
  rig.begin(image(100), { version: 2, older: true });
  rig.carry();
  const { phase, reason, detail } = rig.deployment.state!;
  assertEquals([phase, reason, detail], ["refused", "import", "board.fly"]);
});

Deno.test("what the device runs already is kept at once; what is on trial makes another one wait", () => {
  const rig = new Rig();
  rig.connect();
  const [one, two] = [image(100, 1), image(100, 2)];
  rig.begin(one);
  rig.run();
  rig.begin(one);
  rig.carry();
  assertEquals([rig.phase, rig.device.trials.length], ["kept", 1]);
  rig.begin(two);
  rig.carry();
  rig.link.lose();
  rig.device.boot(); // two is on trial
  rig.connect();
  assertEquals(rig.phase, "trial");
  rig.begin(one, { older: true });
  rig.carry();
  assertEquals(rig.phase, "waits", "the device is busy");
  rig.device.fail("trap");
  rig.run();
  assertEquals([rig.phase, rig.device.runs.hash], ["kept", hashOf(one)]);
});

Deno.test("a trial of something else that ends meanwhile is no answer to an offer", () => {
  const rig = new Rig();
  rig.connect();
  rig.begin(image(100, 1));
  rig.carry();
  rig.link.lose();
  rig.device.boot(); // one is on trial
  rig.connect();
  const kept = rig.device.pass();
  rig.begin(image(100, 2), { version: 5 });
  rig.link.lose();
  rig.connect();
  rig.deviceSays(kept);
  rig.deployment.told(parseDeployWord("k", [kept.slice(3)])!);
  rig.run();
  assertEquals(rig.phase, "kept");
});

Deno.test("the end of a trial that is told twice is no answer to the next offer", () => {
  const rig = new Rig();
  rig.connect();
  const [first, second] = [image(40), image(44, 2)];
  const { deployment } = rig;
  const [old, hash] = [hashOf(first).slice(0, 8), hashOf(second).slice(0, 8)];
  rig.begin(first);
  deployment.told({ is: "taken", hash: old, offset: 0 });
  deployment.told({ is: "going", hash: old });
  deployment.greeted(`app=new/4/${old}`);
  deployment.told({ is: "kept", hash: old }); // on its way when the connection before this one ended
  rig.begin(second);
  deployment.told({ is: "kept", hash: old }); // to the offer at the greeting
  assertEquals(rig.phase, "offered");
  deployment.told({ is: "taken", hash, offset: 0 });
  assertEquals(rig.phase, "checking", "all of it is on its way");
});

Deno.test("a device that comes back without app= knows nothing of deploys", () => {
  const rig = new Rig();
  rig.connect();
  rig.begin(image(1000));
  rig.carry(3);
  rig.link.lose();
  rig.link.connect({ metadata: "reset=power" });
  rig.deployment.greeted("reset=power");
  assertEquals([rig.phase, runningOf(rig.record), imageOf(rig.record)], [
    "unsupported",
    undefined,
    undefined,
  ]);
  rig.link.hears("\n");
  assertEquals(rig.link.said().filter((line) => line.includes("\x02")), []);
});

Deno.test("a deploy that is given up is told so, and nothing more is sent", () => {
  const rig = new Rig();
  rig.connect();
  rig.begin(image(5000));
  rig.carry(5);
  rig.deployment.giveUp();
  rig.carry();
  assertEquals(rig.said.at(-1), "\x02x");
  assertEquals([rig.phase, imageOf(rig.record)], ["given_up", undefined]);
  rig.begin(image(5000));
  rig.run();
  assertEquals(rig.phase, "kept");
});

Deno.test("bytes that were damaged in flash are sent again, and a device that loses its place is not sent to for ever", () => {
  const rig = new Rig();
  rig.connect();
  rig.begin(image(300));
  rig.carry(3);
  rig.device.slots[1]!.written[0]! ^= 1;
  rig.run();
  assertEquals(rig.phase, "kept");

  const interrupted = new Rig();
  interrupted.connect();
  interrupted.begin(image(2000));
  interrupted.carry(9);
  interrupted.device.hears("\x02x");
  interrupted.run();
  assertEquals([interrupted.phase, interrupted.device.erased], ["kept", 1], "offered again");

  const lost = new Rig();
  lost.connect();
  lost.begin(image(300));
  lost.device.hears = (text) => {
    const short = lost.deployment.state!.hash.slice(0, 8);
    return text[1] === "o" ? [`\x02o ${short} 0`] : [`\x02n ${short} gap`];
  };
  lost.carry();
  assertEquals([lost.phase, lost.deployment.state!.reason], ["refused", "gap"]);
  assert(lost.said.length < 40, `${lost.said.length} messages`);
});

Deno.test("a device that forgets that it fell back does not try it for ever", () => {
  const rig = new Rig();
  rig.connect();
  rig.begin(image(100));
  for (let n = 0; n < 20 && !isDecided(rig.deployment.state!); n++) {
    rig.carry();
    rig.link.lose();
    rig.device = new ModelFirmware();
    rig.connect();
  }
  assertEquals([rig.phase, rig.deployment.state!.reason], ["fell_back", "unknown"]);
});

randomTest(
  "whatever a device says: the deploy is decided or goes on, and no offset is beyond the end",
  300,
  (random) => {
    const rig = new Rig();
    rig.connect();
    rig.begin(image(random.int(1, 600)), { again: random.once(2) });
    const short = rig.deployment.state!.hash.slice(0, 8);
    for (let n = 0; n < 30; n++) {
      if (random.once(8)) rig.connect(random.once(2));
      const [kind, words] = nonsense(random, short);
      const word = parseDeployWord(kind, words);
      if (word) rig.deployment.told(word);
      rig.link.flush();
      rig.link.said();
      assert(rig.record.outbox.length <= 60);
      const { phase, reason } = rig.deployment.state!;
      assertEquals(imageOf(rig.record) === undefined, isDecided({ phase }), `${phase} ${reason}`);
      assert(rig.deployment.arrived <= rig.deployment.state!.size);
    }
  },
);

function nonsense(random: Random, short: string): [typeof DEPLOY_KINDS[number], string[]] {
  const kind = random.pick([...DEPLOY_KINDS]);
  const hash = random.once(4) ? random.pick(["-".repeat(8), "", "x", `${short}x`]) : short;
  const word = random.pick([
    "0",
    "4",
    "3",
    "600",
    "4294967296",
    "gap",
    "offer",
    "busy",
    "hash",
    "trap",
  ]);
  return [kind, random.once(3) ? [hash] : [hash, word]];
}
