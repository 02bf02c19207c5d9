/**
 * A device as a store's tests expect it: a simple model of what was done to a record.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type DeviceRecord, type Outgoing, WITHDRAWN } from "../../server/link/record.ts";
import type { Work } from "../../server/store/store.ts";
import type { Random } from "./random.ts";
import { plain, type StoreDriver } from "./store_driver.ts";

type State = ReturnType<typeof plain>;

/** The effect of an accepted transaction. */
type Effect = "process" | { write: string } | { key: string; memo: string | undefined };

export class StoreModel {
  #waiting: { work: Work; accepted: boolean; effects: Effect[] }[] = [];
  #texts = 0;

  constructor(readonly state: State) {}

  /** Changes the record and the model in one of the possible ways. */
  change(record: DeviceRecord, random: Random): void {
    const { state } = this;
    const { positions, inbox, outbox } = state;
    const text = `${this.#texts++}`;
    const at = random.int(0, Math.max(0, outbox.length - 1));
    const message = record.outbox[at];
    switch (random.int(0, 11)) {
      case 0:
      case 1:
        record.receive(text);
        inbox.push(text);
        break;
      case 2: {
        if (record.safe <= this.#claimed) break;
        assertEquals(record.process(), inbox.shift());
        positions.processed++;
        break;
      }
      case 3:
      case 4: {
        const options = {
          overtakes: random.once(2),
          qos: random.once(2),
          ...(random.once(2) && { expires: random.int(0, 1000) }),
        };
        const written = random.int(0, 1000);
        record.write(text, options, written);
        this.#write({
          id: undefined,
          text,
          expires: undefined,
          ...options,
          written,
          isDoubtful: false,
        });
        break;
      }
      case 5:
        if (!message) break;
        record.settle();
        outbox.shift();
        { // a position beyond the outbox means the same as one at its front
          const first = outbox[0]?.seq ?? positions.txNext;
          if ((positions.txSent - first | 0) <= 0) positions.txSent = first;
        }
        break;
      case 6: {
        const given = random.once(3) ? undefined : message;
        const id = record.giveId(given);
        assertEquals(id, positions.nextId);
        positions.nextId = id % 255 + 1;
        if (given) outbox[at]!.id = id;
        break;
      }
      case 7:
        if (!message) break;
        record.withdraw(message);
        outbox[at]!.text = WITHDRAWN;
        break;
      case 11: {
        const { key, memo } = this.#memo(random, text);
        record.setMemo(key, memo);
        this.#keep(key, memo);
        break;
      }
      case 10:
        if (!message) break;
        record.doubt(message);
        outbox[at]!.isDoubtful = true;
        break;
      case 8: {
        const connects = positions.connects + random.int(0, 1);
        const changed = { connects, rxNext: random.bits(), rxEpoch: random.bits() };
        record.change(changed);
        record.release();
        Object.assign(positions, changed, { txSent: positions.txNext });
        break;
      }
      case 9: {
        const id = random.once(20) ? 0 : random.int(1, 255);
        if (!record.hear(id, text)) break;
        if (id === 0) {
          state.heard = state.heard.filter(([, it]) => it.connection === positions.connects);
        }
        const noted = record.duplicates.noted(id)!;
        assertEquals(noted.connection, positions.connects);
        state.heard = state.heard.filter(([other]) => other !== id);
        state.heard.push([id, noted]);
        state.heard.sort(([a], [b]) => a - b);
      }
    }
  }

  /** One of a few memos, so that they are also changed back. */
  #memo(random: Random, text: string): { key: string; memo: string | undefined } {
    return { key: random.pick(["a", "b", "c"]), memo: random.pick([undefined, "x", "y", text]) };
  }

  #keep(key: string, memo: string | undefined): void {
    if (memo === undefined) this.state.memos.delete(key);
    else this.state.memos.set(key, memo);
  }

  /** Makes a change that the next commit always has to store. */
  connect(record: DeviceRecord): void {
    const connects = ++this.state.positions.connects;
    record.change({ connects });
  }

  /** Number of messages in the inbox that waiting transactions will process. */
  get #claimed(): number {
    return this.#waiting.flatMap(({ effects }) => effects).filter((it) => it === "process").length;
  }

  #write(message: Omit<Outgoing, "seq">): void {
    const seq = this.state.positions.txNext;
    this.state.outbox.push({ seq, ...message });
    this.state.positions.txNext = (seq + 1) % 2 ** 32;
    this.state.sent++;
  }

  /** Adds a transaction to the next commit. */
  transact(driver: StoreDriver, id: string, random: Random, hasDatabase: boolean): void {
    const record = driver.record(id);
    const accepted = !hasDatabase || !random.once(3);
    const good = { sql: "CREATE TABLE IF NOT EXISTS t (x TEXT)", params: [] };
    const bad = { sql: "GARBAGE", params: [] };
    const effects: Effect[] = [{ write: `${this.#texts++}` }];
    if (record.safe > this.#claimed) effects.push("process");
    if (random.once(2)) effects.push(this.#memo(random, `${this.#texts++}`));
    const work = driver.transact(
      hasDatabase ? [good, ...accepted ? [] : [bad]] : [],
      ...effects.map((it) => {
        if (it === "process") return driver.processing(id);
        return "key" in it ? driver.noting(id, it.key, it.memo) : driver.writing(id, it.write);
      }),
    );
    this.#waiting.push({ work, accepted, effects });
  }

  /** A commit has decided the waiting transactions. */
  committed(record: DeviceRecord): void {
    for (const { accepted, effects } of this.#waiting.splice(0)) {
      if (!accepted) continue;
      for (const effect of effects) {
        if (effect === "process") {
          assert(this.state.inbox.shift() !== undefined);
          this.state.positions.processed++;
        } else if ("key" in effect) this.#keep(effect.key, effect.memo);
        else {
          const { write: text } = effect;
          const manner = { overtakes: false, qos: true, expires: undefined };
          this.#write({ id: undefined, text, ...manner, written: 0, isDoubtful: false });
        }
      }
    }
    this.check(record, "after a commit");
    assertEquals(record.safe, record.inbox.length);
  }

  check(record: DeviceRecord, when: string): void {
    assertEquals(plain(record.state), this.state, when);
  }
}
