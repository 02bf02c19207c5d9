/** Hostile programs on the network that connect to the server, or answer in its place. */
import { proofOf } from "../../server/protocol/proof.ts";
import { EPHEMERAL, formatWelcome, HELLO, PROOF } from "../../server/protocol/greeting.ts";
import { frame } from "../../server/protocol/lines.ts";
import type { DevicePlan } from "./scenario.ts";
import { Circuit, type End, type Host, Path } from "../../bridge/testing/network.ts";
import type { World } from "./world.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The first bytes that a stranger sends. */
export type Stranger =
  | "silent"
  | "garbage"
  | "half a hello"
  | "wrong key"
  | "replay"
  | "loud"
  | "deaf" // gets an answer, and reads nothing
  | "gone"; // resets the connection at once

export const STRANGERS: readonly Stranger[] = [
  "silent",
  "garbage",
  "half a hello",
  "wrong key",
  "replay",
  "loud",
  "deaf",
  "gone",
];

/** Strangers where there is a key, who try that more often. */
export const THIEVES: readonly Stranger[] = [...STRANGERS, "wrong key", "wrong key", "replay"];

/** The strangers' address. */
export const ELSEWHERE = "10.9.9.9";

/** The name of a loud stranger at the server. */
export const LOUD = "Z";

/** A stranger connects to the server, sends its bytes, and leaves after a while. */
export function strangerConnects(world: World, stranger: Stranger, plan: DevicePlan): void {
  const { random, clock } = world;
  const conditions = { ...plan.conditions, segment: Infinity };
  if (stranger === "deaf") conditions.capacity = 200;
  const path = new Path(clock, random, conditions, ELSEWHERE);
  const key = Uint8Array.from({ length: 32 }, () => random.word());
  const say = (bytes: Uint8Array) => void socket.write(bytes);
  const hello = helloOf(world, plan);
  for (const books of world.books.values()) books.expiring.isClaimed = true; // it may replay any device's hello
  let number = 0;
  const speak = () => {
    if (socket.closed || socket.failed) return;
    const text = "?".repeat(60);
    say(encoder.encode(number === 0 ? `${LOUD}\n` : `\n${frame(number % 255 + 1, text)}`));
    number++;
    clock.after(world.scenario.timeout / 8, speak);
  };
  const socket: End = new Circuit(path, world.server, {
    opened() {
      if (stranger === "garbage") say(garbage(world));
      if (stranger === "half a hello") {
        say(encoder.encode(hello.slice(0, random.below(hello.length))));
      }
      if (stranger === "wrong key") say(encoder.encode(`${hello}\n`));
      if (stranger === "replay") { for (const bytes of world.overheard) say(bytes); }
      if (stranger === "gone") socket.abort();
      if (stranger === "deaf") speak();
      if (stranger === "loud") say(encoder.encode(`${LOUD}\n\n01ok\n01ok\n`)), say(garbage(world));
    },
    readable() {
      if (stranger === "deaf") return;
      const answer = decoder.decode(socket.read(Infinity));
      if (stranger !== "wrong key" || !answer.startsWith("\x02")) return;
      const proof = PROOF + proofOf(key, `${hello}\n${answer}`);
      say(encoder.encode(`${proof}\n\n00forged\n`));
    },
    writable() {},
    ended() {},
  }).client;
  const stay = random.skewed(1, 4 * world.scenario.timeout);
  clock.after(stranger === "deaf" ? 4 * world.scenario.timeout : stay, () => socket.close());
}

function helloOf({ random }: World, { id, key }: DevicePlan): string {
  const words = [random.word(), 0, 0, 0, 64, 1000, 500];
  const digits = words.map((word) => word.toString(16).padStart(8, "0")).join("");
  return `${HELLO}0${key ? 2 : 0}${digits}${"5".repeat(32)}${key ? id : LOUD}`;
}

function garbage({ random }: World): Uint8Array {
  const bytes = new Uint8Array(random.skewed(1, 400));
  const most = random.pick([256, 128, 16]);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.chance(0.1) ? 10 : random.below(most);
  // Not a device's name: without a key, anybody could take it.
  return bytes.map((byte) => byte >= 65 && byte <= 67 ? 90 : byte);
}

/**
 * Answers in the server's place: with garbage, or, to a device that has a key, with a welcome that claims to
 * have everything, but cannot prove it.
 */
export class Impostor implements Host {
  readonly listens = true;

  constructor(readonly world: World, readonly plan: DevicePlan) {}

  accept(socket: End): void {
    let heard = "";
    socket.owner = {
      readable: () => {
        heard += decoder.decode(socket.read(Infinity));
        if (!heard.endsWith("\n")) return;
        const forges = this.plan.key && heard.startsWith(HELLO) && this.world.random.chance(0.5);
        socket.write(forges ? encoder.encode(forgedWelcome(heard)) : noise(this.world));
        heard = "";
      },
      writable() {},
      ended() {},
    };
    this.world.clock.after(2 * this.world.scenario.timeout, () => socket.close());
  }
}

/** Garbage without acks: an end without a key would have to believe an ack. */
function noise(world: World): Uint8Array {
  return garbage(world).map((byte) => /[0-9a-f]/.test(String.fromCharCode(byte)) ? 90 : byte);
}

function forgedWelcome(hello: string): string {
  const word = (at: number) => parseInt(hello.slice(3 + at * 8, 11 + at * 8), 16);
  const greeting = {
    txEpoch: 666,
    txFirst: 0,
    rxEpoch: word(0),
    rxNext: word(1),
    window: 64,
    bytes: 2000,
    line: 500,
  };
  // For a suite with ephemeral keys, answers in the same suite: what is sealed after it must not be accepted either.
  const isEphemeral = hello.startsWith(`${HELLO}0${EPHEMERAL}`);
  const suite = isEphemeral ? EPHEMERAL : 2;
  return `${formatWelcome(suite, greeting, "6".repeat(isEphemeral ? 64 : 32))}${"7".repeat(32)}\n`;
}
