/**
 * Finds out when readings were taken, though devices have no real-time clock. A device sends its own milliseconds when
 * it connects, and stamps readings with them, so a reading's age is known however long it has waited. The clock of each
 * boot whose messages may still wait is kept in one of the device's memos.
 *
 * The milliseconds are 32 bits and wrap every 49.7 days, so ages are known up to that, less the tolerance below. The
 * time that passes at the server is taken from its own clock, which runs on while the server is down.
 */
import type { DeviceRecord } from "../link/record.ts";
import type { Clock } from "../transport/platform.ts";

/** A memo's key. */
const CLOCK = "ms";

/** Where the milliseconds wrap. */
const ROUND = 2 ** 32;

/** Most boots that are kept. */
const MOST_BOOTS = 8;

/**
 * How far a stamp may be ahead of what the server expects, in ms: a day. The hello takes time to arrive, a device's
 * clock may run fast during a long link, and the server's may be set back. Such a reading counts as taken now.
 */
const TOLERANCE = 86_400_000;

/** A device's milliseconds when it last connected. */
interface DeviceClock {
  readonly ms: number;
  /** When that was, in ms since 1970. */
  readonly date: number;
  /** The same on a process's monotonic clock, and which process. */
  readonly now: number;
  readonly run: number;
}

/** One run of a device, as far as its clock is concerned. */
interface Boot {
  /** Number of its first message. */
  readonly from: number;
  /** Its stream. */
  readonly epoch: number;
  /** undefined: the device did not send it. */
  readonly clock?: DeviceClock;
}

function bootsOf(record: DeviceRecord): Boot[] {
  const text = record.memos.get(CLOCK);
  return text === undefined ? [] : JSON.parse(text);
}

function keep(record: DeviceRecord, boots: readonly Boot[]): void {
  record.setMemo(CLOCK, JSON.stringify(boots.slice(-MOST_BOOTS)));
}

/**
 * The server's time, and its conversion of device times. Durations are measured with the monotonic clock; across
 * processes, with the machine's.
 */
export class Timekeeper {
  readonly #clock: Pick<Clock, "now" | "date">;
  readonly #run: number; // names this process's `now`

  constructor(clock: Pick<Clock, "now" | "date">) {
    this.#clock = clock;
    this.#run = Math.round(clock.date() - clock.now());
  }

  /** Now, in ms since 1970. */
  get date(): number {
    return this.#clock.date();
  }

  /**
   * A device has connected. Devices that have never sent their milliseconds cost nothing.
   *
   * @param ago How long ago it sent them, in ms: the rest of the greeting may take a while.
   * @returns what is wrong with its milliseconds; undefined: nothing
   */
  note(record: DeviceRecord, metadata: string, ago = 0): string | undefined {
    const said = /(?:^| )ms=([^ ]*)/.exec(metadata)?.[1];
    if (said !== undefined && isTime(said)) {
      const now = Math.round(this.#clock.now() - ago);
      const date = Math.round(this.date - ago);
      noteTime(record, { ms: Number(said), date, run: this.#run, now });
    } else noteNone(record);
    if (said === undefined || isTime(said)) return undefined;
    return `ms=${said} is out of range: 0 to ${ROUND - 1}, in ms`;
  }

  /**
   * When a reading was taken, in ms since 1970, and never later than now; undefined if the server does not have the clock
   * of that boot.
   *
   * @param number The number of the message, from 0.
   */
  takenAt(record: DeviceRecord, number: number, stamp: number): number | undefined {
    const { clock } = bootOf(bootsOf(record), number) ?? {};
    if (!clock) return undefined;
    const { ms, date, run, now } = clock;
    const passed = run === this.#run ? Math.round(this.#clock.now()) - now : this.date - date;
    const age = modulo(ms + passed - stamp);
    return age > ROUND - TOLERANCE ? this.date : this.date - age;
  }
}

function isTime(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) < ROUND;
}

function noteTime(record: DeviceRecord, clock: DeviceClock): void {
  const { rxEpoch: epoch } = record.positions;
  const boots = bootsOf(record);
  const last = boots.at(-1);
  if (last?.epoch === epoch) keep(record, [...boots.slice(0, -1), { ...last, clock }]);
  else add(record, boots, { epoch, clock });
}

/** The device sent no milliseconds, so nobody can tell whether it has restarted. Dialect 1 has no metadata. */
function noteNone(record: DeviceRecord): void {
  const boots = bootsOf(record);
  if (boots.at(-1)?.clock) add(record, boots, { epoch: record.positions.rxEpoch });
}

/** Adds a boot that begins with the next message. Boots without messages are forgotten. */
function add(record: DeviceRecord, boots: readonly Boot[], boot: Omit<Boot, "from">): void {
  const { positions: { processed }, inbox, state: { deadLetters = [] } } = record;
  const from = processed + inbox.length;
  const oldest = Math.min(processed, ...deadLetters.map(({ number }) => number));
  const all = [...before(boots, from), { from, ...boot }];
  keep(record, all.filter((_, i) => i + 1 === all.length || all[i + 1]!.from > oldest));
}

/** Boots that began before a message. */
function before(boots: readonly Boot[], number: number): Boot[] {
  return boots.filter(({ from }) => from < number);
}

/** The boot in which a message was sent. */
function bootOf(boots: readonly Boot[], number: number): Boot | undefined {
  return boots.findLast(({ from }) => from <= number);
}

function modulo(ms: number): number {
  return (ms % ROUND + ROUND) % ROUND;
}

/**
 * A dead letter has come again as the newest message: its stamp still refers to its old boot. @param was Its old
 * number.
 */
export function renumbered(record: DeviceRecord, was: number): void {
  const boots = bootsOf(record);
  const last = boots.at(-1);
  const boot = bootOf(boots, was);
  if (!last || boot === last) return;
  const { epoch } = last;
  const next = record.positions.processed + record.inbox.length;
  const is = next - 1;
  keep(record, [
    ...before(boots, is),
    { epoch, ...boot, from: is },
    { ...last, from: next },
  ]);
}
