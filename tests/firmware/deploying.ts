/**
 * A chip, and a server that deploys one application after the other to it, through faults of either.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Emulator } from "../../bridge/esp8266/emulator/emulator.ts";
import {
  APPLICATION_OFFSET,
  decodeSlot,
  Mark,
  SLOT_BYTES,
} from "../../bridge/formats/application.ts";
import { type Deploy, type Device, Server } from "../../server/mod.ts";
import { compile } from "../support/compile.ts";
import { image, restore } from "../support/crash.ts";
import { FaultProxy } from "../support/proxy.ts";
import type { Random } from "../support/random.ts";
import { until } from "../support/wait.ts";
import { connects, isUp, line, plugIn } from "./support.ts";

/** The server's timeout in ms. */
const TIMEOUT = 2000;
/** Speed of the chip's clock: 30 s of link take 1.5 s. */
const SPEED = 20;
/** The watchdog's limit in ms: longer than a busy machine may take the processor away. */
export const WATCHDOG = 5000;

/** A working application, which reports to the server once a second. */
export const GOOD = `
  export * from "../assembly/core";
  import { begin, every, millis, number, QOS, send } from "../assembly/app";
  export function onStart(): void { every(1000); }
  export function onTick(): void { begin(11); number(millis()); send(QOS); }`;

/** Failing applications, by the way in which they fail. */
export const BAD: Readonly<Record<string, string>> = {
  trap: `
    export * from "../assembly/core";
    import { every } from "../assembly/app";
    export function onStart(): void { every(2000); }
    export function onTick(): void { unreachable(); }`,
  hang: `
    export * from "../assembly/core";
    import { every, random } from "../assembly/app";
    export function onStart(): void { every(2000); }
    export function onTick(): void { while (random() != 0 || random() != 0 || random() != 0) {} }`,
  heap: `
    export * from "../assembly/core";
    import { every } from "../assembly/app";
    const all = memory.data(60000);
    export function onStart(): void { every(2000); }
    export function onTick(): void { store<u8>(all, load<u8>(all) + 1); }`,
  refused: `
    export * from "../assembly/core";
    export function onTrial(): bool { return false; }`,
  load: `
    export * from "../assembly/core";
    unreachable();`,
};

/** A variant of an application: with more bytes, and another hash. */
export function variant(wasm: Uint8Array, random: Random, more = 200): Uint8Array<ArrayBuffer> {
  const bytes = random.bytes(more);
  const size = bytes.length + 2; // a name of one letter, then random bytes
  assert(size > 127 && size < 16384);
  return Uint8Array.of(...wasm, 0, size & 127 | 128, size >> 7, 1, 0x78, ...bytes);
}

/** The slots in a chip's flash. */
export function slotsOf(board: Emulator) {
  return [0, 1].flatMap((slot) => {
    const from = APPLICATION_OFFSET + slot * SLOT_BYTES;
    try {
      return [decodeSlot(board.flash.subarray(from, from + SLOT_BYTES))];
    } catch {
      return [];
    }
  });
}

/** The newest kept application. */
export function keptOf(board: Emulator) {
  return slotsOf(board).filter(({ state }) => (state & Mark.kept) === 0)
    .sort((a, b) => b.sequence - a.sequence)[0];
}

/** Whether a deploy has its outcome. */
export function isDecided({ phase }: Deploy): boolean {
  return !["waits", "offered", "sending", "checking", "trial"].includes(phase);
}

/** A board on a roof, where nobody can go with a cable. */
export class Roof implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #folder = Deno.makeTempDirSync();
  #server!: Server;
  #stores = 0;
  board!: Emulator;
  proxy!: FaultProxy;
  /** Messages that the server's application has received. */
  readonly got: string[] = [];

  private constructor(readonly key: Uint8Array | undefined) {}

  static async start(
    { application, key, speed = SPEED, ...options }: {
      application: { name: string; wasm: Uint8Array } | Uint8Array;
      key?: Uint8Array;
      firmware?: string;
      flash?: Uint8Array;
      watchdog?: number;
      speed?: number;
    },
  ): Promise<Roof> {
    const roof = new Roof(key);
    roof.#stack.defer(() => Deno.remove(roof.#folder, { recursive: true }));
    roof.#stack.defer(() => roof.#server.close());
    await roof.#listen();
    roof.proxy = roof.#stack.use(
      await FaultProxy.start({ target: { port: roof.#server.port } }),
    );
    roof.board = roof.#stack.use(
      await plugIn({
        application,
        port: roof.proxy.port,
        id: "roof",
        speed,
        settings: { timeout: TIMEOUT * speed, ...(key ? { key } : {}) },
        ...options,
      }),
    );
    await roof.up();
    return roof;
  }

  async #listen(): Promise<void> {
    this.#server = await Server.listen({
      port: 0,
      hostname: "127.0.0.1",
      timeout: TIMEOUT,
      store: this.#path,
      ...(this.key ? { keys: [["roof", this.key]] } : { open: true }),
      app: async (device) => {
        for await (const text of device) this.got.push(text);
      },
    });
  }

  get #path(): string {
    return `${this.#folder}/${this.#stores}.db`;
  }

  /** Waits until the link is up, and stays up for a moment. */
  async up(): Promise<void> {
    await until(() => (this.board.check(), isUp(this.board)), {
      what: () => `the link to be up:\n  ${this.board.lines.slice(-8).join("\n  ")}`,
      timeout: 60_000,
    });
  }

  async device(): Promise<Device> {
    return await this.#server.device("roof");
  }

  /** Kills the server, and starts another on its store. */
  async killServer(): Promise<void> {
    this.proxy.blackhole();
    const left = image(this.#path);
    await this.#server.close();
    this.#stores++;
    restore(this.#path, left);
    await this.#listen();
    this.proxy.retarget(this.#server.port);
    this.proxy.restore({ drop: true });
  }

  /** Cuts the link until both ends have noticed. */
  async outage(): Promise<void> {
    this.proxy.blackhole();
    await until(() => !isUp(this.board), { what: "the outage to be noticed" });
    this.proxy.restore({ drop: true });
  }

  async reset(reason: "external" | "power-on"): Promise<void> {
    const { board } = this;
    const { boots } = board;
    board.reset(reason);
    await until(() => board.boots > boots, { what: "the chip to boot" });
  }

  async loseWifi(): Promise<void> {
    const { board } = this;
    const before = connects(board);
    board.loseWifi();
    const { boots } = board;
    await until(() => (board.check(), connects(board) > before || board.boots > boots), {
      what: "the link to be back",
    });
  }

  /** Waits until the server knows the outcome of a deploy. */
  async decided(): Promise<Deploy> {
    let said = "";
    return await until(async () => {
      this.board.check();
      const { deployment } = await this.device();
      said = JSON.stringify(deployment);
      return deployment && isDecided(deployment) ? deployment : undefined;
    }, {
      what: () => `the end of ${said}:\n  ${this.board.lines.slice(-12).join("\n  ")}`,
      timeout: 120_000,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

const compiled = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();

/** Compiles a source, once. */
export function once(source: string): Promise<Uint8Array<ArrayBuffer>> {
  if (!compiled.has(source)) compiled.set(source, compile(source));
  return compiled.get(source)!;
}

/** Events for a board or its server during a deploy. */
export const FAULTS: Readonly<Record<string, (roof: Roof) => Promise<void>>> = {
  nothing: () => Promise.resolve(),
  "external reset": (roof) => roof.reset("external"),
  "power cut": (roof) => roof.reset("power-on"),
  outage: (roof) => roof.outage(),
  "WiFi lost": (roof) => roof.loseWifi(),
  "server killed": (roof) => roof.killServer(),
};

/**
 * Deploys this many applications, one after the other, each with a fault at a random moment. At the end of each the
 * right one must run: the new one, or the previous one if the new one fails.
 */
export async function deployAll(
  count: number,
  random: Random,
  say: (line: string) => void,
): Promise<void> {
  const good = await once(GOOD);
  const bad = Object.entries(BAD);
  for (const [, source] of bad) await once(source); // everything slow comes first, before there is a chip
  let runs = { name: "first", wasm: variant(good, random) };
  await using roof = await Roof.start({ application: runs, watchdog: WATCHDOG });
  for (let n = 1; n <= count; n++) {
    const [what, fault] = random.pick(Object.entries(FAULTS));
    const [reason, source] = n % 4 === 0 ? random.pick(bad) : [undefined, GOOD];
    const wasm = variant(await once(source), random, 200 + random.int(0, 3000));
    const name = `number-${n}`;
    // The moment is drawn by the bytes that have arrived, or by time, so that the trial and its end are as likely.
    const wait = random.once(2) ? random.int(0, wasm.length - 1) : undefined;
    const device = await roof.device();
    await device.deploy(wasm, { name, version: n, until: "accepted" });
    if (wait !== undefined) {
      await until(() => {
        const { phase, arrived } = device.deployment!;
        return arrived >= wait || phase !== "offered" && phase !== "waits" && phase !== "sending";
      }, { what: () => `${wait} bytes to be there: ${JSON.stringify(device.deployment)}` });
    } else await new Promise((resolve) => setTimeout(resolve, random.int(0, 6000)));
    await fault(roof);
    const { phase, reason: why, hash } = await roof.decided();
    const when = wait === undefined ? "later" : `after ${wait} bytes`;
    say(`${n}: ${what}, ${when}: ${phase} ${why ?? ""}`);
    const told = `${n}, ${what} ${when}: ${phase}, ${why}\n  ${
      roof.board.lines.slice(-20).join("\n  ")
    }`;
    if (reason === undefined) {
      assertEquals(phase, "kept", told);
      runs = { name, wasm };
    } else {
      assertEquals(phase, "fell_back", told);
      // A trial that a power cut has ended more than once may be reported as a crash.
      assert([reason, "crash", "unknown"].includes(why!), told);
    }
    await roof.up();
    await until(async () => {
      const { runs: running } = await roof.device();
      return running?.name === runs.name && (reason !== undefined || running.hash === hash);
    }, { what: () => `the right one to run, ${told}` });
    assertEquals(keptOf(roof.board)!.wasm, runs.wasm, told);
  }
  // It must also start by itself.
  await roof.reset("power-on");
  await line(roof.board, `application name=${runs.name}`, roof.board.lines.length - 1);
  await roof.up();
  assertEquals(roof.got.every((text) => /^\d+$/.test(text)), true, "applications see their own");
}
