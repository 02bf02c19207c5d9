/**
 * An application on its way to a device: a state machine without socket, clock or store. What the device says and
 * each new connection go in; messages to its firmware come out by `Line`. What it must not forget are two memos of the
 * device's record, so each step is safe in one commit with the message that has caused it.
 *
 *     QUEUED --its turn in a group--> WAITS
 *     WAITS --greeting--> OFFERED --o--> SENDING --all sent--> CHECKING --g, or a hello--> TRIAL --k--> kept
 *       ^                    |n             |n                    |n                          |r, n failed
 *       +--- connection gone, busy ---------+                     +--> refused                +--> fell back
 *
 * The application is offered again at each greeting until that is decided, and the device says how much of it it has.
 * So nothing more is needed after a restart of either end, an outage, or a store that was put back: no offset is kept.
 */
import { metadatum } from "../protocol/greeting.ts";
import type { DeviceRecord } from "../link/record.ts";
import {
  bytesOf,
  type DeployWord,
  formatGo,
  formatNeeds,
  formatOffer,
  formatPiece,
  GIVE_UP,
  type Offer,
  parseRunning,
  type RunningApp,
  shortHash,
} from "../protocol/firmware_lines.ts";

import { importName } from "../protocol/module.ts";

/** Keys of memos: what is deployed and how that is; its bytes, until it is decided; what the device said that it runs. */
const DEPLOY = "deploy";
const IMAGE = "image";
const RUNS = "runs";

/** Pieces that wait in the outbox or are on their way: messages of applications wait behind these at most. */
const IN_FLIGHT = 2;

/** Offers of one deploy on one connection: a device that loses its place again and again would be sent to for ever. */
const MOST_OFFERS = 4;

/** How often a device is told to start it: one that cannot remember that it fell back would try it for ever. */
const MOST_STARTS = 4;

/** How a deploy is. The last six are its end. */
export type DeployPhase =
  /** Its group is given it in steps, and it is not its turn. */
  | "queued"
  /** The device is not there, or has another application on trial. */
  | "waits"
  /** The device has not answered yet. */
  | "offered"
  /** It travels. */
  | "sending"
  /** The device has all of it. */
  | "checking"
  /** The device runs it, and may go back to the old one. */
  | "trial"
  /** The device runs it from now on. */
  | "kept"
  /** The device does not take it: see `reason`. */
  | "refused"
  /** It was tried, and the device has gone back to the old one: see `reason`. */
  | "fell_back"
  /** Somebody has given it up, or deployed something else. */
  | "given_up"
  /** The device knows nothing of deploys. */
  | "unsupported"
  /** Another device of its group has not taken it, so it was not begun: see `detail`. */
  | "stopped";

const ENDS: readonly DeployPhase[] = [
  "kept",
  "refused",
  "fell_back",
  "given_up",
  "unsupported",
  "stopped",
];

/** The group of devices in which a device is given an application. */
export interface InRollout {
  /** All of them have the same. */
  readonly id: number;
  /** How many of them are given it at once. */
  readonly step: number;
}

/** A deploy, as it is kept. */
export interface DeployState extends Offer {
  readonly phase: DeployPhase;
  /** When it was begun, in ms since 1970. */
  readonly begun: number;
  /** Since when it is in this phase, likewise. */
  readonly since: number;
  /** How often the device was told to start it. */
  readonly starts: number;
  /** Why it was refused, or fell back; "unknown" if the device could not say. */
  readonly reason?: string;
  /** What it needs and the device has not, for example. */
  readonly detail?: string;
  /** The group with which it is given that. */
  readonly rollout?: InRollout;
  /** Hashes of what the device has gone back from, the last ones: it may remember one of them at most. */
  readonly fallen?: readonly string[];
}

/** Phases in which the device has nothing that it could give up, or does not do so. */
const UNSAID: readonly DeployPhase[] = ["queued", "waits", "trial"];

/** Hashes of that kind that are kept. */
const MOST_FALLEN = 8;

/** Whether the same bytes fell back on the device, and nobody has asked since to try them again. */
export function hasFallen({ fallen = [] }: Pick<DeployState, "fallen">, hash: string): boolean {
  return fallen.includes(shortHash(hash));
}

/** Whether that is offered already: the same bytes, whatever they are called, and on the same terms. */
export function isOffered(state: DeployState, { hash, older, again }: Offer): boolean {
  return state.hash === hash && state.older === older && !again;
}

/** Whether nothing more comes of it. */
export function isDecided({ phase }: Pick<DeployState, "phase">): boolean {
  return ENDS.includes(phase);
}

/** Refusals that answer an offer, and nothing else. */
const OF_OFFERS: readonly string[] = ["older", "failed", "size", "mac", "busy"];

/** Refusals of pieces. */
const OF_PIECES: readonly string[] = ["gap", "offer", "hash"];

/** Whether it may answer an offer: `g` and `k` are also said when something has come to an end. */
function isAnswer(word: DeployWord, phase: DeployPhase | undefined): boolean {
  if (word.is !== "refused") return word.is !== "fellBack";
  return OF_OFFERS.includes(word.reason) ||
    (phase === "offered" && !OF_PIECES.includes(word.reason));
}

/** Whether it answers an offer, and says nothing else. */
function isOfOffer(word: DeployWord): boolean {
  return word.is === "taken" || (word.is === "refused" && OF_OFFERS.includes(word.reason));
}

/** The way to the device's firmware. */
export interface Line {
  readonly record: DeviceRecord;
  /** Whether there is a connection on which its firmware takes messages. */
  readonly takesFirmware: boolean;
  /** Longest text that the device takes, in bytes. */
  readonly lineBytes: number;
  /** The device's key, if it has one. */
  readonly key: Uint8Array | undefined;
  /** Now, in ms since 1970. */
  readonly date: number;
  /** Says something. @param arrived Called when the device has it, unless the connection ends before. */
  tell(text: string, arrived: () => void): void;
  /** Something is different: the deploy's phase, or how much of it has arrived. */
  changed(): void;
}

/** What a record remembers of a device's deploy; undefined: there was no deploy. */
export function deployOf(record: DeviceRecord): DeployState | undefined {
  const text = record.memos.get(DEPLOY);
  return text === undefined ? undefined : JSON.parse(text);
}

/** What the device said last that it runs; undefined: it never did, or does not any more. */
export function runningOf(record: DeviceRecord): RunningApp | undefined {
  const said = record.memos.get(RUNS);
  return said === undefined ? undefined : parseRunning(said);
}

/** The .wasm of a deploy that is not decided, in base64url. */
export function imageOf(record: DeviceRecord): string | undefined {
  return record.memos.get(IMAGE);
}

export class Deployment {
  readonly #line: Line;
  #state: DeployState | undefined;
  #unanswered = 0; // offers on this connection, also of a deploy before this one
  #offers = 0; // of this deploy on this connection
  #mayExplain = false; // it fell back, and may be about to say why
  #connection = 0; // what was sent on an earlier one says nothing
  #next = 0;
  #inFlight = 0;
  #arrived = 0;

  constructor(line: Line) {
    this.#line = line;
    this.#state = deployOf(line.record);
  }

  /** The last deploy, decided or not. */
  get state(): DeployState | undefined {
    return this.#state;
  }

  /** Bytes that the device has, as far as is known; those of an interrupted transfer count when it has said so. */
  get arrived(): number {
    const { phase, size = 0 } = this.#state ?? {};
    if (phase === "sending") return this.#arrived;
    return phase === "checking" || phase === "trial" || phase === "kept" ? size : 0;
  }

  /**
   * Begins, or in a group waits for its turn. Another one that is under way is given up.
   *
   * @param image The .wasm, in base64url.
   */
  begin(offer: Offer, image: string, rollout?: InRollout): void {
    const { record, date } = this.#line;
    const before = this.#state;
    if (before && !isDecided(before)) this.#end("given_up");
    this.#offers = 0;
    record.setMemo(IMAGE, image);
    const fallen = (before?.fallen ?? []).filter((hash) => hash !== shortHash(offer.hash));
    this.#put({
      ...offer,
      phase: rollout ? "queued" : "waits",
      begun: Math.max(date, (before?.begun ?? 0) + 1), // which tells it from that
      ...{ since: date, starts: 0 },
      ...(rollout && { rollout }),
      ...(fallen.length > 0 && { fallen }),
    });
    if (!rollout && this.#line.takesFirmware) this.#offer();
  }

  /** It is its turn. */
  release(): void {
    if (this.#state?.phase !== "queued") return;
    this.#move("waits");
    if (this.#line.takesFirmware) this.#offer();
  }

  /** It is not begun any more. @param why For people. */
  stop(why: string): void {
    if (this.#state?.phase === "queued") this.#end("stopped", undefined, why);
  }

  /** Nobody wants it any more. One that is on trial is kept or not, as the device decides. */
  giveUp(): void {
    if (!this.#state || isDecided(this.#state)) return;
    const { phase } = this.#state;
    if (this.#line.takesFirmware && !UNSAID.includes(phase)) this.#line.tell(GIVE_UP, () => {});
    this.#end("given_up");
  }

  /** The device has a new connection. @returns whether it runs something else than it did, and than was deployed */
  greeted(metadata: string): boolean {
    const { record } = this.#line;
    this.#connection++;
    this.#inFlight = this.#offers = this.#unanswered = 0;
    const said = metadatum(metadata, "app");
    const isOther = said !== undefined && record.memos.has(RUNS) && record.memos.get(RUNS) !== said;
    record.setMemo(RUNS, said);
    if (!this.#state) return false;
    const running = said === undefined ? undefined : parseRunning(said);
    if (isDecided(this.#state)) {
      return isOther && this.#state.phase === "kept" && !this.#is(running?.hash);
    }
    if (said === undefined) this.#end("unsupported");
    else if (this.#state.phase !== "queued") {
      if (this.#state.starts > 0 && this.#is(running?.hash)) this.#move("trial");
      this.#mayExplain = metadatum(metadata, "reset") === "rollback";
      this.#offer(); // it may have been kept by now
    }
    return false;
  }

  /** The device's firmware has said something. @returns whether that can be */
  told(word: DeployWord): boolean {
    const isAwaited = this.#unanswered > 0;
    if (isAnswer(word, this.#state?.phase)) this.#unanswered = Math.max(0, this.#unanswered - 1);
    const state = this.#state;
    if (!state) return true;
    if (word.is === "fellBack" && (isDecided(state) || !this.#is(word.hash))) {
      this.#remember(word.hash);
    }
    if (isDecided(state)) return true; // it is late
    // Nothing was offered yet: it is about an earlier deploy, which may have been of the same bytes.
    if (state.phase === "queued" && word.is !== "kept" && word.is !== "fellBack") return true;
    // Who has no offer does not know whose piece it is.
    const lostPlace = word.is === "refused" && (word.reason === "gap" || word.reason === "offer");
    if (!lostPlace && !this.#is(word.hash)) {
      // The one that was on trial is so no more.
      if (word.is === "kept" || word.is === "fellBack") this.#free();
      return true;
    }
    // It answers an offer before the last one, which may have had other terms.
    if (isOfOffer(word) && (this.#unanswered > 0 || this.#isRuledOut(word))) return true;
    switch (word.is) {
      case "taken":
        return this.#taken(state, word.offset, isAwaited);
      case "going":
        if (state.starts === 0) this.#put({ ...state, starts: 1 }); // it was told by an earlier store
        this.#move("trial");
        return true;
      case "kept":
        this.#end("kept");
        return true;
      case "fellBack":
        // Perhaps of an earlier deploy of the same bytes: those are tried again if somebody has asked for it.
        if (state.starts > 0 || !state.again) this.#end("fell_back", word.reason);
        else this.#free();
        return true;
      case "refused":
        this.#refused(state, word);
        return true;
    }
  }

  /**
   * Whether the terms of the last offer rule this answer out: then an earlier one has had it, perhaps another server's.
   * What was on its way when a connection broke comes again on the next one, also long after the device has taken that
   * offer. What the device runs stays the same for a connection.
   */
  #isRuledOut(word: DeployWord): boolean {
    const { version, older, again, starts } = this.#state!;
    const running = runningOf(this.#line.record);
    const isTooOld = running && !older && version < running.version;
    if (word.is !== "refused") return isTooOld === true;
    if (word.reason === "older") return isTooOld === false;
    return word.reason === "failed" && again && starts === 0;
  }

  /** Something fell back that is not what is deployed now. */
  #remember(hash: string): void {
    const state = this.#state!;
    const fallen = [...(state.fallen ?? []).filter((one) => one !== hash), hash].slice(
      -MOST_FALLEN,
    );
    this.#put({ ...state, fallen });
  }

  #is(hash: string | undefined): boolean {
    return hash !== undefined && this.#state !== undefined && shortHash(this.#state.hash) === hash;
  }

  #offer(): void {
    const { key } = this.#line;
    const state = this.#state!;
    const { starts, phase } = state;
    this.#offers++;
    this.#unanswered++;
    // Once it may have been tried because of that, it is not tried again because of it.
    const again = state.again && starts === 0;
    if (phase !== "trial") this.#move("offered");
    if (state.needs !== undefined) this.#line.tell(formatNeeds(state.needs), () => {});
    this.#line.tell(formatOffer({ ...state, again }, key), () => {});
  }

  /** Nothing is on trial any more: if it waits for that, it is offered again; at the next greeting, if that was often. */
  #free(): void {
    if (this.#state!.phase === "waits" && this.#offers < MOST_OFFERS) this.#offer();
  }

  #taken(state: DeployState, offset: number, isAwaited: boolean): boolean {
    const { size, starts } = state;
    if (offset > size || (offset % 4 !== 0 && offset !== size)) return false;
    // It may be the answer to an offer of an earlier connection; before it is known where to begin, that does not matter.
    const isOpen = isAwaited || state.phase === "offered" || state.phase === "waits";
    if (!isOpen) return true;
    if (starts >= MOST_STARTS) {
      this.#end("fell_back", "unknown");
      return true;
    }
    this.#move("sending");
    this.#next = this.#arrived = offset;
    this.#send();
    return true;
  }

  #send(): void {
    const state = this.#state!;
    if (state.phase !== "sending" || !this.#line.takesFirmware) return;
    const { record, lineBytes } = this.#line;
    const image = bytesOf(imageOf(record)!);
    const connection = this.#connection;
    while (this.#inFlight < IN_FLIGHT && this.#next < state.size) {
      const [text, next] = formatPiece(image, this.#next, lineBytes);
      this.#next = next;
      this.#inFlight++;
      this.#line.tell(text, () => {
        if (connection !== this.#connection) return;
        this.#inFlight--;
        this.#arrived = Math.max(this.#arrived, next);
        this.#send();
        this.#line.changed();
      });
    }
    if (this.#next < state.size) return;
    this.#put({ ...state, phase: "checking", since: this.#line.date, starts: state.starts + 1 });
    this.#line.tell(formatGo(state.hash), () => {});
  }

  #refused(
    state: DeployState,
    { reason, detail }: Extract<DeployWord, { readonly is: "refused" }>,
  ): void {
    if (reason === "busy") {
      if (state.phase !== "trial") this.#move("waits");
    } else if (OF_PIECES.includes(reason)) {
      // What was written of an interrupted transfer may be damaged: then it begins again.
      // It has not heard the last offer yet, or has all: this is about pieces that were sent twice.
      if (this.#unanswered > 0 || state.phase === "trial") return;
      if (this.#offers < MOST_OFFERS) this.#offer();
      else this.#end("refused", reason, detail);
    } else if (reason === "failed" && state.starts > 0) {
      // Why that is comes before the answer to another offer, if it comes.
      if (this.#mayExplain) this.#offer();
      else this.#end("fell_back", "unknown");
      this.#mayExplain = false;
    } else if (reason === "import") {
      // Before it has the application, the device knows a number only.
      this.#end("refused", reason, importName(Number(detail)) ?? detail);
    } else this.#end("refused", reason, detail);
  }

  #move(phase: DeployPhase): void {
    const state = this.#state!;
    if (state.phase !== phase) this.#put({ ...state, phase, since: this.#line.date });
  }

  #end(phase: DeployPhase, reason?: string, detail?: string): void {
    const { record, date } = this.#line;
    record.setMemo(IMAGE, undefined);
    const { fallen = [], hash } = this.#state!;
    const fell = [...fallen, shortHash(hash)].slice(-MOST_FALLEN);
    this.#put({
      ...this.#state!,
      phase,
      since: date,
      ...(reason !== undefined && { reason }),
      ...(detail !== undefined && { detail }),
      ...((phase === "fell_back" || reason === "failed") && { fallen: fell }),
    });
  }

  #put(state: DeployState): void {
    this.#state = state;
    this.#line.record.setMemo(DEPLOY, JSON.stringify(state));
    this.#line.changed();
  }
}
