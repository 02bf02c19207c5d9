/**
 * A model of a firmware's half of deploys: two slots of flash that survive, and a RAM that does not. It shares no code
 * with the server's half except the base64 of texts. Its owner decides which application runs, and whether that works.
 *
 * @module
 */
import { createHash, createHmac } from "node:crypto";

/** The state of an application in a slot. A real one clears a bit for each step. */
type SlotState = "empty" | "arriving" | "whole" | "trial" | "kept" | "failed";

/** One half of the application's area. */
export interface Slot {
  hash: string;
  name: string;
  version: number;
  size: number;
  written: number[];
  state: SlotState;
  sequence: number;
  /** Why it fell back, and whether the server knows. */
  fall: string;
  isTold: boolean;
}

/** A device's properties. */
export interface ModelOptions {
  key?: Uint8Array | undefined;
  /** Name of the first application. */
  name?: string;
  version?: number;
  /** How many imports its firmware has. */
  imports?: number;
  /** False: a firmware that does not know `needs`. Default true. */
  knowsNeeds?: boolean;
  /** Size of a slot in bytes. */
  room?: number;
  /** Why an application cannot be started at all: "module" or "import" and what it needs; undefined: it can. */
  unfit?: (wasm: Uint8Array) => string | undefined;
  /** Whether the application gets another chance after a reset during its trial. Default: no. */
  triesAgain?: () => boolean;
}

const EMPTY: Slot = {
  hash: "",
  name: "",
  version: 0,
  size: 0,
  written: [],
  state: "empty",
  sequence: 0,
  fall: "",
  isTold: false,
};

export class ModelFirmware {
  readonly slots: [Slot, Slot];
  /** How often a slot was erased. */
  erased = 0;
  /** Hashes of the applications started on trial, one for each start. */
  readonly trials: string[] = [];
  /** It wants to be restarted. */
  restarts = false;
  #options: ModelOptions;
  #running = 0; // the slot that runs
  #offer: { hash: string } | undefined; // in RAM
  #needs = 0;

  constructor(options: ModelOptions = {}) {
    this.#options = options;
    const { name = "kitchen", version = 3 } = options;
    const first = {
      ...EMPTY,
      name,
      version,
      hash: hashOf([1]),
      size: 1,
      written: [1],
      sequence: 1,
    };
    this.slots = [{ ...first, state: "kept" }, { ...EMPTY }];
  }

  /** The slot that runs. */
  get runs(): Slot {
    return this.slots[this.#running]!;
  }

  /** Whether there is an application that has not been started yet. */
  get fresh(): boolean {
    return this.slots.some(({ state }) => state === "whole");
  }

  get onTrial(): boolean {
    return this.runs.state === "trial";
  }

  /** Its part of the hello's metadata. */
  get metadata(): string {
    const { name, version, hash } = this.runs;
    const reset = this.#untold ? "reset=rollback" : "reset=power";
    return `${reset} app=${name}/${version}/${hash.slice(0, 8)}`;
  }

  /** Restarts. An interrupted trial goes on or ends, as `triesAgain` says. */
  boot(): void {
    this.restarts = false;
    this.#offer = undefined;
    const tried = this.slots.find(({ state }) => state === "trial");
    if (tried && !this.#options.triesAgain?.()) this.#fell(tried, "crash");
    const fresh = this.slots.findIndex(({ state }) => state === "whole" || state === "trial");
    if (fresh >= 0) {
      this.slots[fresh]!.state = "trial";
      this.trials.push(this.slots[fresh]!.hash);
      this.#running = fresh;
      return;
    }
    const kept = this.slots.filter(({ state }) => state === "kept");
    const newest = kept.toSorted((a, b) => b.sequence - a.sequence)[0]!;
    this.#running = this.slots.indexOf(newest);
  }

  #fell(slot: Slot, fall: string): void {
    slot.state = "failed";
    slot.fall = fall;
  }

  /** A slot that fell back, of which the server does not know. */
  get #untold(): Slot | undefined {
    return this.slots.find(({ state, isTold }) => state === "failed" && !isTold);
  }

  /** The link has come up. @returns what to send */
  up(): string[] {
    const slot = this.#untold;
    return slot ? [`\x02r ${slot.hash.slice(0, 8)} ${slot.fall}`] : [];
  }

  /** The server has acknowledged the report. */
  told(): void {
    const slot = this.#untold;
    if (slot) slot.isTold = true;
  }

  /** The trial was successful. */
  pass(): string {
    this.runs.state = "kept";
    this.runs.sequence = 1 + Math.max(...this.slots.map(({ sequence }) => sequence));
    return `\x02k ${this.runs.hash.slice(0, 8)}`;
  }

  /** The trial has failed. */
  fail(reason: string): void {
    this.#fell(this.runs, reason);
    this.restarts = true;
  }

  /** The power failed during the write of a piece: its last words may be missing. */
  tear(words: number): void {
    const slot = this.slots[1 - this.#running]!;
    if (slot.state === "arriving") {
      slot.written.length = Math.max(0, slot.written.length - 4 * words) & ~3;
    }
  }

  /** Takes a message of the server. @returns the answers */
  hears(text: string): string[] {
    if (this.runs.state === "failed") return []; // it is about to restart
    const [kind, ...words] = text.slice(1).split(" ");
    if (kind === "i" && this.#options.knowsNeeds !== false) this.#needs = Number(words[0]);
    if (kind === "o") return this.#offered(words, text);
    if (kind === "p") return this.#piece(Number(words[0]), words[1]!);
    if (kind === "g") return this.#go(words[0]!);
    if (kind === "x") this.#offer = undefined;
    return [];
  }

  #offered([hash, size, version, flags, name, mac]: string[], text: string): string[] {
    const short = hash!.slice(0, 8);
    const no = (reason: string) => [`\x02n ${short} ${reason}`];
    const { key, room = 20_384, imports = 20 } = this.#options;
    if (key) {
      const right = createHmac("sha256", key).update(text.slice(0, text.lastIndexOf(" "))).digest();
      if (mac !== right.subarray(0, 16).toString("base64url")) return no("mac");
    }
    const { runs } = this;
    if (this.onTrial) return hash === runs.hash ? [`\x02g ${short}`] : no("busy");
    const other = 1 - this.#running;
    const slot = this.slots[other]!;
    const isSame = slot.hash === hash;
    if (isSame && slot.state === "whole") return [`\x02g ${short}`];
    if (this.restarts) return no("busy");
    if (hash === runs.hash) return [`\x02k ${short}`];
    if (Number(size) > room) return no("size");
    if (Number(version) < runs.version && !(Number(flags) & 1)) return no("older");
    if (isSame && slot.state === "failed" && !(Number(flags) & 2)) return no("failed");
    const needs = Number(flags) & 4 ? this.#needs : 0;
    for (let n = imports; n < 32; n++) if (needs / 2 ** n & 1) return no(`import ${n}`);
    this.#offer = { hash: hash! };
    if (isSame && slot.state === "arriving") return [`\x02o ${short} ${slot.written.length}`];
    this.erased++;
    this.slots[other] = {
      ...EMPTY,
      ...{
        hash: hash!,
        name: name!,
        version: Number(version),
        size: Number(size),
        state: "arriving",
      },
      written: [],
    };
    return [`\x02o ${short} 0`];
  }

  #piece(offset: number, data: string): string[] {
    const slot = this.slots[1 - this.#running]!;
    if (!this.#offer || slot.state !== "arriving") return [`\x02n ${"-".repeat(8)} offer`];
    if (offset < slot.written.length) return [];
    if (offset > slot.written.length) return [`\x02n ${this.#offer.hash.slice(0, 8)} gap`];
    slot.written.push(...Buffer.from(data, "base64url"));
    return [];
  }

  #go(short: string): string[] {
    const slot = this.slots[1 - this.#running]!;
    const no = (reason: string) => [`\x02n ${short} ${reason}`];
    if (!this.#offer || slot.state !== "arriving") return no("offer");
    if (slot.written.length < slot.size) return no("gap");
    this.#offer = undefined;
    if (hashOf(slot.written) !== slot.hash) {
      Object.assign(slot, EMPTY, { written: [] });
      return no("hash");
    }
    const why = this.#options.unfit?.(Uint8Array.from(slot.written));
    if (why !== undefined) return no(why);
    slot.state = "whole";
    this.restarts = true;
    return [`\x02g ${short}`];
  }
}

/** The hash as in an offer. */
export function hashOf(bytes: Iterable<number>): string {
  return createHash("sha256").update(Uint8Array.from(bytes)).digest("base64url");
}
