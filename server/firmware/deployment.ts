/**
 * The deploy of an application to a device: a state machine without socket, clock or store. The device's messages and
 * each new connection go in; messages to its firmware come out through `Line`. Its durable state is two memos of the
 * device's record, so each step is safe in one commit with the message that caused it.
 *
 *     QUEUED --its turn in a group--> WAITS
 *     WAITS --greeting--> OFFERED --o--> SENDING --all sent--> CHECKING --g, or a hello--> TRIAL --k--> kept
 *       ^                    |n             |n                    |n                          |r, n failed
 *       +--- connection gone, busy ---------+                     +--> refused                +--> fell back
 *
 * The application is offered at each greeting until the deploy is decided, and the device answers how much it has. So
 * nothing else is needed after a restart of either end, an outage, or a restored backup: no offset is kept.
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
import { type DeployPhase, type DeployState, type InRollout, isDecided } from "./deploy_state.ts";

/** Keys of memos: the deploy; its bytes, until it is decided; the application that the device said it runs. */
const DEPLOY = "deploy";
const IMAGE = "image";
const RUNS = "runs";

/** Most pieces in the outbox or under way, so that messages of applications never wait behind more. */
const IN_FLIGHT = 2;

/** Most offers of one deploy on one connection: a device that keeps losing its place would get pieces for ever. */
const MOST_OFFERS = 4;

/** Most starts of one deploy: a device that cannot remember that it fell back would try it for ever. */
const MOST_STARTS = 4;

/** Phases in which giving up sends nothing: the device has nothing to give up, or does not obey. */
const UNSAID: readonly DeployPhase[] = ["queued", "waits", "trial"];

/** How many hashes of applications that fell back are kept at most. */
const MOST_FALLEN = 8;

/** Refusals that answer an offer, and nothing else. */
const OF_OFFERS: readonly string[] = ["older", "failed", "size", "mac", "busy"];

/** Refusals of pieces. */
const OF_PIECES: readonly string[] = ["gap", "offer", "hash"];

/** Whether a word may answer an offer: `g` and `k` are also sent when a trial has ended. */
function isAnswer(word: DeployWord, phase: DeployPhase | undefined): boolean {
  if (word.is !== "refused") return word.is !== "fellBack";
  return OF_OFFERS.includes(word.reason) ||
    (phase === "offered" && !OF_PIECES.includes(word.reason));
}

/** Whether a word answers an offer and nothing else. */
function isOfOffer(word: DeployWord): boolean {
  return word.is === "taken" || (word.is === "refused" && OF_OFFERS.includes(word.reason));
}

/** The link to the device's firmware. */
export interface Line {
  readonly record: DeviceRecord;
  /** Whether there is a connection on which its firmware takes messages. */
  readonly takesFirmware: boolean;
  /** Longest text that the device accepts, in bytes. */
  readonly lineBytes: number;
  /** The device's key, if it has one. */
  readonly key: Uint8Array | undefined;
  /** Now, in ms since 1970. */
  readonly date: number;
  /** Sends a message. @param arrived Called when the device has it, unless the connection ends first. */
  tell(text: string, arrived: () => void): void;
  /** The deploy's phase has changed, or how much of it has arrived. */
  changed(): void;
}

/** The last deploy in a device's record; undefined: there was none. */
export function deployOf(record: DeviceRecord): DeployState | undefined {
  const text = record.memos.get(DEPLOY);
  return text === undefined ? undefined : JSON.parse(text);
}

/** The application that the device said it runs; undefined: it never said so, or does not any more. */
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
  #unanswered = 0; // unanswered offers on this connection, also of an earlier deploy
  #offers = 0; // of this deploy on this connection
  #mayExplain = false; // it fell back, and may say why next
  #connection = 0; // number of the connection; acks of earlier ones do not count
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

  /** Bytes that the device is known to have; those of an interrupted transfer count once it has reported them. */
  get arrived(): number {
    const { phase, size = 0 } = this.#state ?? {};
    if (phase === "sending") return this.#arrived;
    return phase === "checking" || phase === "trial" || phase === "kept" ? size : 0;
  }

  /**
   * Starts a deploy, or in a group waits for its turn. A deploy under way is given up.
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
      begun: Math.max(date, (before?.begun ?? 0) + 1), // greater than the last, so that they differ
      ...{ since: date, starts: 0 },
      ...(rollout && { rollout }),
      ...(fallen.length > 0 && { fallen }),
    });
    if (!rollout && this.#line.takesFirmware) this.#offer();
  }

  /** The deploy's turn in its group has come. */
  release(): void {
    if (this.#state?.phase !== "queued") return;
    this.#move("waits");
    if (this.#line.takesFirmware) this.#offer();
  }

  /** Stops it before it has started. @param why For people. */
  stop(why: string): void {
    if (this.#state?.phase === "queued") this.#end("stopped", undefined, why);
  }

  /** Gives it up. If it is on trial, the device decides whether it is kept. */
  giveUp(): void {
    if (!this.#state || isDecided(this.#state)) return;
    const { phase } = this.#state;
    if (this.#line.takesFirmware && !UNSAID.includes(phase)) this.#line.tell(GIVE_UP, () => {});
    this.#end("given_up");
  }

  /** The device has a new connection. @returns whether it runs something other than before and than was deployed */
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
      this.#offer(); // even after a trial: it may have been kept by now
    }
    return false;
  }

  /** The device's firmware has sent a message. @returns whether it is plausible */
  told(word: DeployWord): boolean {
    const isAwaited = this.#unanswered > 0;
    if (isAnswer(word, this.#state?.phase)) this.#unanswered = Math.max(0, this.#unanswered - 1);
    const state = this.#state;
    if (!state) return true;
    if (word.is === "fellBack" && (isDecided(state) || !this.#is(word.hash))) {
      this.#remember(word.hash);
    }
    if (isDecided(state)) return true; // it is late
    // Nothing was offered yet: the message is about an earlier deploy, maybe of the same bytes.
    if (state.phase === "queued" && word.is !== "kept" && word.is !== "fellBack") return true;
    // A device without an offer cannot tell to which deploy a piece belongs.
    const lostPlace = word.is === "refused" && (word.reason === "gap" || word.reason === "offer");
    if (!lostPlace && !this.#is(word.hash)) {
      // The trial is over.
      if (word.is === "kept" || word.is === "fellBack") this.#free();
      return true;
    }
    // It answers an earlier offer, which may have had other terms.
    if (isOfOffer(word) && (this.#unanswered > 0 || this.#isRuledOut(word))) return true;
    switch (word.is) {
      case "taken":
        return this.#taken(state, word.offset, isAwaited);
      case "going":
        if (state.starts === 0) this.#put({ ...state, starts: 1 }); // it was started before the store was restored
        this.#move("trial");
        return true;
      case "kept":
        this.#end("kept");
        return true;
      case "fellBack":
        // It may be about an earlier deploy of the same bytes, which are tried again if `again` says so.
        if (state.starts > 0 || !state.again) this.#end("fell_back", word.reason);
        else this.#free();
        return true;
      case "refused":
        this.#refused(state, word);
        return true;
    }
  }

  /**
   * Whether the terms of the last offer rule this answer out. It is then to an earlier offer, perhaps another server's:
   * an answer that was on its way when a connection broke comes again on the next one, also long after the device has
   * accepted that offer. What the device runs stays the same during a connection.
   */
  #isRuledOut(word: DeployWord): boolean {
    const { version, older, again, starts } = this.#state!;
    const running = runningOf(this.#line.record);
    const isTooOld = running && !older && version < running.version;
    if (word.is !== "refused") return isTooOld === true;
    if (word.reason === "older") return isTooOld === false;
    return word.reason === "failed" && again && starts === 0;
  }

  /**
   * Whether the device runs something else during the trial that this server knows of: it is about to start it, or it
   * has fallen back and will say so, or the store is an old copy, and the device has other applications by now.
   */
  get #lacksTrial(): boolean {
    const { phase } = this.#state!;
    return phase === "trial" && !this.#is(runningOf(this.#line.record)?.hash);
  }

  /** Remembers that another application than the deployed one fell back. */
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
    // `again` holds for one try: once that may have happened, it counts no more.
    const again = state.again && starts === 0;
    if (phase !== "trial") this.#move("offered");
    if (state.needs !== undefined) this.#line.tell(formatNeeds(state.needs), () => {});
    this.#line.tell(formatOffer({ ...state, again }, key), () => {});
  }

  /** The device's trial is over: a deploy that waits for it is offered again; after too many offers, at a greeting. */
  #free(): void {
    if (this.#state!.phase === "waits" && this.#offers < MOST_OFFERS) this.#offer();
  }

  #taken(state: DeployState, offset: number, isAwaited: boolean): boolean {
    const { size, starts } = state;
    if (offset > size || (offset % 4 !== 0 && offset !== size)) return false;
    // It may answer an offer of an earlier connection; that does not matter before the transfer has begun.
    const isOpen = isAwaited || state.phase === "offered" || state.phase === "waits" ||
      this.#lacksTrial;
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
      if (state.phase !== "trial" || this.#lacksTrial) this.#move("waits");
    } else if (OF_PIECES.includes(reason)) {
      // What an interrupted transfer has written may be damaged: then the transfer starts again.
      // It has not heard the last offer yet, or has everything: this is about pieces that were sent twice.
      if (this.#unanswered > 0 || state.phase === "trial") return;
      if (this.#offers < MOST_OFFERS) this.#offer();
      else this.#end("refused", reason, detail);
    } else if (reason === "failed" && state.starts > 0) {
      // If the device explains itself, it does so before it answers another offer.
      if (this.#mayExplain) this.#offer();
      else this.#end("fell_back", "unknown");
      this.#mayExplain = false;
    } else if (reason === "import") {
      // Before it has the whole application, the device only knows the import's number.
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
