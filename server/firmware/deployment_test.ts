/** The server's half of a deploy: against a model of the device's half, and against whatever a device might send. */
import { assert, assertEquals } from "@std/assert";
import { image, Rig } from "../../tests/support/deploy_rig.ts";
import { hashOf, ModelFirmware } from "../../tests/support/model_firmware.ts";
import { type Random, randomTest } from "../../tests/support/random.ts";
import { DEPLOY_KINDS, parseDeployWord } from "../protocol/firmware_lines.ts";
import { isDecided } from "./deploy_state.ts";
import { imageOf, runningOf } from "./deployment.ts";

const KEY = new Uint8Array(32).fill(7);

Deno.test("an application is sent, tried and kept, and then the server deletes its bytes", () => {
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

Deno.test("at most two pieces are on their way, so messages of applications wait only behind these", () => {
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

Deno.test("a transfer interrupted by outages or restarts of either end continues where it stopped", () => {
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

Deno.test("an application that fell back is tried again only on request, once", () => {
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

Deno.test("a device that has reported its fallback to an older server answers that the application failed: it is not tried again", () => {
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

Deno.test("the reason for a fallback may come after the answer to an offer", () => {
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

Deno.test("the reason for a fallback may come again, while another application is deployed", () => {
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

Deno.test("a deploy that the device refuses ends with the reason, and no byte is sent", () => {
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

Deno.test("the running application is kept at once; another one waits for the end of a trial", () => {
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

Deno.test("of several deploys during a trial the last one is offered again when the trial ends", () => {
  const rig = new Rig();
  rig.connect();
  rig.begin(image(100, 1));
  rig.carry();
  rig.link.lose();
  rig.device.boot(); // one is on trial
  rig.connect();
  for (let n = 2; n < 8; n++) {
    rig.begin(image(100, n), { version: n });
    rig.carry();
    assertEquals(rig.phase, "waits");
  }
  const kept = rig.device.pass();
  rig.deviceSays(kept);
  rig.deployment.told(parseDeployWord("k", [kept.slice(3)])!);
  rig.run();
  assertEquals([rig.phase, rig.device.runs.version], ["kept", 7]);
});

Deno.test("the device accepts an offer that was replaced, and refuses the same bytes on other terms: the refusal counts", () => {
  const rig = new Rig();
  rig.connect();
  const bytes = image(100);
  rig.begin(bytes, { version: 2, older: true });
  rig.begin(bytes, { version: 2 });
  rig.run();
  assertEquals([rig.phase, rig.deployment.state!.reason], ["refused", "older"]);
  assertEquals(rig.device.trials, []);
});

/** Two offers of the same bytes to a device that runs version 3, and the outcome of the second one. */
const OFFERED_TWICE = [
  ["older", { version: 2 }, { version: 2, older: true }, "kept"],
  ["older", { version: 2 }, { version: 4 }, "kept"],
  ["failed", { version: 4 }, { version: 4, again: true }, "kept"],
  ["0", { version: 2, older: true }, { version: 2 }, "refused"],
] as const;

Deno.test("an answer that was on its way when the connection broke does not answer an offer on other terms", () => {
  for (const [said, first, second, end] of OFFERED_TWICE) {
    for (const isRestarted of [false, true]) {
      const rig = new Rig();
      rig.connect();
      const bytes = image(100);
      if (said === "failed") {
        rig.begin(bytes);
        rig.run("trap");
      }
      const { device } = rig;
      const { hears, up } = device;
      const late: string[] = [];
      device.hears = (text) => {
        late.push(...hears.call(device, text));
        return [];
      };
      rig.begin(bytes, first);
      rig.carry();
      assertEquals(late.map((text) => text.split(" ")[2]), [said]);
      rig.link.lose();
      if (isRestarted) rig.restart();
      rig.begin(bytes, second);
      Object.assign(device, { hears, up: () => late });
      const before = rig.said.length;
      rig.connect();
      device.up = up;
      rig.run();
      assertEquals([said, rig.phase], [said, end]);
      const pieces = rig.said.slice(before).filter((text) => text.startsWith("\x02p"));
      assertEquals(pieces.length > 0, end === "kept", "the bytes of a refused offer are not sent");
    }
  }
});

Deno.test("the end of another application's trial does not answer an offer", () => {
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

Deno.test("a device that has all pieces gets no new offer because of pieces sent twice", () => {
  const rig = new Rig();
  rig.connect();
  const bytes = image(40);
  const hash = hashOf(bytes).slice(0, 8);
  rig.begin(bytes);
  rig.deployment.told({ is: "taken", hash, offset: 0 });
  rig.deployment.told({ is: "going", hash });
  rig.deployment.told({ is: "refused", hash: "--------", reason: "offer" });
  assertEquals(rig.phase, "trial");
  assertEquals(rig.record.outbox.filter(({ text }) => text.startsWith("\x02o ")).length, 1);
});

Deno.test("a deploy ends as unsupported if the device comes back without app=", () => {
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

Deno.test("a deploy that is given up is reported, and nothing more is sent", () => {
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

Deno.test("bytes damaged in flash are sent again, but a device that always loses its place ends the deploy", () => {
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

Deno.test("an application is not tried for ever on a device that forgets that it fell back", () => {
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
  "whatever a device sends: the deploy ends or goes on, and no offset is beyond the end",
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
