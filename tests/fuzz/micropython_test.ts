/**
 * The core of bridge/micropython and the one that is flashed, under the same noise: both must do the same, byte for byte.
 * The other tests here check what the flashed one does. Also the client around that core, with a malicious server.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { CONNECTING, coreModule } from "../../bridge/host/core.ts";
import { proofOf } from "../../server/protocol/proof.ts";
import { micropython } from "../micropython/interpreters.ts";
import { ClientEnd, type ClientSettings } from "../support/client_end.ts";
import { fromLatin1 } from "../support/ends.ts";
import { noise, oddText } from "../support/noise.ts";
import { Random } from "../support/random.ts";

const KEY = "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f";
const SITUATIONS = 40;
/** A state of the core: its hello is sent. */
const GREETING = 2;
const MOMENTS = 120;

type Step = [time: number, name: string, value: string | number | null];
type Moment = [out: string, messages: string[], events: string[], done: number];

/** Decodes texts as `ClientEnd` does: they may not be UTF-8. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A hello at the end of what was sent. */
const HELLO = new RegExp("\x01[^\n]*(?=\n$)");

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}

function id(n: number): string {
  return (n & 255).toString(16).padStart(2, "0");
}

/** A core that is flashed, with a server that is sometimes a good one, and what happened. */
class Life {
  readonly settings: Partial<ClientSettings>;
  readonly steps: Step[] = [];
  readonly moments: Moment[] = [];
  readonly #end: ClientEnd;
  readonly #isSecond: boolean;
  readonly #line: number;
  #hello = "";
  #time = 0;
  #written = 0;
  #isBlocked = false;
  /** Number of the last message whose deadline has passed. */
  #expired = 0;
  /** The server's stream: its name, and the numbers of the messages that it holds and sends next. */
  #epoch = 0xd0000001;
  #first = 0;
  #next = 0;

  constructor(readonly random: Random) {
    const isSecond = this.#isSecond = random.once(2);
    const line = this.#line = isSecond ? random.int(121, 140) : random.int(1, 30);
    this.settings = {
      dialect: isSecond ? 2 : 1,
      line,
      outbox: line + 7 + random.int(0, 300),
      inbox: Math.max(2 * (line + 3), isSecond ? line + 96 : 0) + random.int(0, 100),
      recent: random.int(1, 223),
      window: random.int(1, 16),
      key: isSecond && random.once(2) ? KEY : "",
      seed: random.bits(),
    };
    this.#end = new ClientEnd(coreModule(), this.settings);
  }

  #welcome(): string {
    const { random } = this;
    const { key } = this.settings;
    const hello = this.#hello || `\x01${"0".repeat(90)}1`;
    const epoch = parseInt(hello.slice(3, 11), 16);
    const first = parseInt(hello.slice(11, 19), 16);
    const there = first + random.int(0, Math.max(0, this.#written - first));
    if (random.once(9)) this.#epoch++;
    const words = [
      this.#epoch,
      this.#first = random.once(5) ? random.int(0, 3) : parseInt(hello.slice(27, 35), 16),
      random.once(12) ? 5 : epoch,
      random.once(12) ? there + 99 : there,
    ];
    this.#next = this.#first;
    const nonce = "d1".repeat(16);
    const keyBytes = Uint8Array.fromHex(key!);
    const mask = key ? proofOf(keyBytes, nonce) : "0".repeat(32);
    const masked = words.map((word, n) => hex(word ^ parseInt(mask.slice(n * 8, n * 8 + 8), 16)));
    // The flashed core also keeps the limit of a welcome without a valid proof: that does not matter here.
    const longest = random.pick([this.#line, 200, key ? 200 : 5]);
    const peer = [random.pick([1, 4, 64]), longest + 3 + random.int(0, 200), longest].map(hex);
    const line = `\x02${key ? "02" : "00"}${masked.join("")}${peer.join("")}${nonce}`;
    const proof = key ? proofOf(keyBytes, `${hello}\n${line}`) : "";
    return `${line}${random.once(20) ? "0".repeat(proof.length) : proof}\n`;
  }

  #said(): [name: string, value: string | number | null] {
    const { random } = this;
    const message = () => `${id(this.#next++)}${oddText(random, this.#line) || "x"}\n`;
    const choices: (() => [string, string | number | null])[] = [
      () => ["inHex", Array.from(noise(random, this.#line)).map(id).join("")],
      () => ["in", `${id(random.int(0, Math.max(1, this.#written)))}\n`],
      () => ["in", `${id(random.int(0, Math.max(1, this.#written)))}\n`],
      () => ["in", "\n"],
      () => ["in", message()],
      () => ["in", message() + message()],
      () => ["in", this.#isSecond ? this.#welcome() : "\n"],
      () => ["in", this.#isSecond ? this.#welcome() : "\n"],
      () => ["opened", null],
      () => ["opened", null],
      () => [random.pick(["lost", "hold", "take", "block", "unblock", "take", "unblock"]), null],
      () => [random.once(5) ? random.pick(["reset", "restart"]) : "take", null],
      () => ["try", oddText(random, this.#line)],
      () => ["try", `text ${this.#written}`.slice(0, this.#line)],
      () => ["tryOff", oddText(random, this.#line)],
      () => ["expire", this.#expired = Math.max(0, this.#written - random.int(-1, 4))],
      () => ["expire", this.#expired],
      () => ["expire", this.#expired],
    ];
    // Usually a hello is answered, and a connection is made when it is asked for: else there would never be a link.
    const greets = this.#end.state === GREETING && random.once(2);
    const opens = this.#end.state === CONNECTING && random.once(2);
    const said = greets && this.#isSecond
      ? ["in", this.#welcome()] as [string, string]
      : opens
      ? ["opened", null] as [string, null]
      : random.pick(choices)();
    // No server answers a hello that was not sent, or speaks without a connection.
    if (this.#isBlocked && said[0] === "opened") said[0] = "unblock";
    const { state } = this.#end;
    if (state <= CONNECTING && said[0].startsWith("in")) return ["take", null];
    // The host's end makes a nonce even if it is not asked for one.
    if (state !== CONNECTING && said[0] === "opened") return ["take", null];
    if (said[0] === "block" || said[0] === "unblock") this.#isBlocked = said[0] === "block";
    return said;
  }

  live(): void {
    const { random } = this;
    for (let n = 0; n < MOMENTS; n++) {
      this.#time += random.pick([0, 0, 0, 1, 20, 300, 499, 500, 700, 2000, 9000]);
      const end = this.#end;
      end.pass(this.#time);
      const [name, value] = this.#said();
      const text = String(value);
      let told: string | undefined;
      if (name === "try" || name === "tryOff") {
        const accepted = end.write(text, { qos: name === "try" });
        if (accepted) this.#written++;
        told = accepted ? "accepted" : "refused";
      } else if (name === "expire") told = end.expire(Number(value));
      else end.input(name, value ?? undefined);
      if (name === "reset" || name === "restart") this.#written = 0;
      const { out, messages, events } = end.take();
      const hello = out.match(HELLO)?.[0];
      if (hello) this.#hello = hello;
      this.steps.push([this.#time, name, value]);
      this.moments.push([
        fromLatin1(out).toHex(),
        messages,
        told === undefined ? events : [...events, told],
        end.done,
      ]);
    }
  }
}

Deno.test("the core of bridge/micropython does what the flashed one does, whatever it receives", async () => {
  const trace = await micropython<(text: string) => string>("import replay", "replay.trace", {
    heapsize: 4 << 20,
  });
  const first = Number(Deno.env.get("HOLDFAST_SEED") ?? Math.floor(Math.random() * 2 ** 32));
  for (let n = 0; n < SITUATIONS; n++) {
    const life = new Life(new Random(first + n));
    life.live();
    const { settings, steps, moments } = life;
    const came: Moment[] = JSON.parse(trace(JSON.stringify({ settings, steps })));
    for (const [i, moment] of moments.entries()) {
      const [, messages] = came[i]!;
      came[i]![1] = messages.map((message) => decoder.decode(Uint8Array.fromHex(message)));
      const about = `HOLDFAST_SEED=${first + n}, moment ${i}: ${
        JSON.stringify([settings, steps.slice(0, i + 1)])
      }`;
      assertEquals(came[i], moment, about);
    }
  }
});

Deno.test("whatever a server says, the client of bridge/micropython goes on", async () => {
  const live = await micropython<(seed: number) => number>("import noise", "noise.live", {
    heapsize: 4 << 20,
  });
  const first = Number(Deno.env.get("HOLDFAST_SEED") ?? Math.floor(Math.random() * 2 ** 30));
  let connects = 0;
  for (let n = 0; n < SITUATIONS; n++) {
    try {
      connects += live(first + n);
    } catch (error) {
      throw new Error(`HOLDFAST_SEED=${first + n}`, { cause: error });
    }
  }
  assert(connects > SITUATIONS, `${connects} connections`);
});
