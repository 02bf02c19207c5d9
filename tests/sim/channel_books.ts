/**
 * The books of channels. They check, for every seed and every fault:
 *
 * - A device is sent only settings that somebody has made: none of a failed transaction, none that was not safe when
 *   its server was killed, and none older than one that the device has answered since its start.
 * - At most one setting of a channel is on its way.
 * - A setting that `set` has reported as safe is in the store, or a newer one; what the store has survives a kill.
 * - The values that the server shows and stores are ones that the device has reported.
 * - The work of a handler becomes safe with its message, all of it or nothing: its row, its settings, its answer.
 * - When all faults have ended, the device has the desired values and has reported them, or why not.
 *
 * An operator who drops messages, or has a device forgotten, drops their settings too; desired values are then sent
 * again.
 */
import type { Books } from "./books.ts";
import { Attempt, type Setting } from "./channel_settings.ts";
import type { Disk } from "./disk.ts";
import type { MqttBooks } from "./mqtt_books.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { type Owner, ThingBooks } from "./thing_books.ts";

/** The books of all devices of a world. */
export class ChannelBooks implements Owner {
  readonly things = new Map<string, ThingBooks>();
  /** The books of MQTT, in a world with a broker. */
  mqtt: MqttBooks | undefined;
  readonly #attempts = new Map<string, Attempt>();
  readonly #processing = new Map<string, Attempt>(); // the newest of each device
  readonly #touched = new Set<Attempt>(); // in the current commit
  readonly #changed = new Set<string>(); // channels whose desired value has changed since the last commit
  /** Settings whose mail has ended in the current commit. */
  readonly #ended = new Set<Setting>();
  #time = 0;
  committedAt = 0;

  add(id: string, books: Books): ThingBooks {
    const thing = new ThingBooks(id, this, books);
    this.things.set(id, thing);
    return thing;
  }

  /** A number that grows with each call. */
  tick(): number {
    return ++this.#time;
  }

  /** @param of The message that is processed, by the process that has its device */
  begin(name: string, of?: { id: string; text: string }): Attempt {
    const attempt = new Attempt(name, of?.id);
    if (!of) return attempt;
    this.#attempts.set(`${of.id}\0${of.text}`, attempt);
    this.#processing.set(of.id, attempt);
    return attempt;
  }

  /** The effects of a message are in the store. */
  effect(id: string, text: string): void {
    const attempt = this.#attempts.get(`${id}\0${text}`);
    if (!attempt) return;
    if (attempt.hasFailed) {
      throw new Violation(`${attempt.name} has failed, and its effect is safe`);
    }
    attempt.isEffectKept = true;
    this.#touched.add(attempt);
    this.things.get(id)!.processed(text);
    this.mqtt?.processed(id, text);
  }

  /** Somebody at a broker sends something to the device. @returns its deadline */
  downlink(id: string, line: string): number {
    if (!this.mqtt) throw new Violation(`${id}: who has written ${JSON.stringify(line)}?`);
    return this.mqtt.downlinks.written(id, line);
  }

  downlinkPosted(id: string, line: string): void {
    if (!this.mqtt) throw new Violation(`${id}: who has posted ${JSON.stringify(line)}?`);
    this.mqtt.downlinks.posted(id, line);
  }

  /** The device is forgotten in the current commit, together with the answer that waited for it. */
  forgive(id: string): void {
    this.mqtt?.forgets(id);
    for (const attempt of this.#touched) if (attempt.of === id) attempt.asked = undefined;
  }

  /** A device's report is in the store, in the transaction that processes its message. */
  told(id: string): void {
    const attempt = this.#processing.get(id);
    if (!attempt) throw new Violation(`${id}: something is known of it that it has not said`);
    this.#touched.add(attempt);
  }

  /** At the end, the server must show what is in the store. */
  look(): void {
    for (const books of this.things.values()) books.look(books.thing!, true);
  }

  /** A setting is in the store. */
  kept(setting: Setting): void {
    const { attempt } = setting;
    if (setting.isPublished) this.mqtt?.kept(setting);
    this.#changed.add(channelOf(setting));
    if (attempt && setting.postedAt === undefined) this.#touched.add(attempt);
  }

  posted(setting: Setting): void {
    if (setting.attempt) this.#touched.add(setting.attempt);
  }

  mailEnds(setting: Setting): void {
    this.#ended.add(setting);
  }

  again(setting: Setting): void {
    this.mqtt?.again(setting);
    this.#changed.add(channelOf(setting));
  }

  /** A commit is done. */
  committed({ devices }: Disk): void {
    for (const { name, of, isEffectKept, settings, asked } of this.#touched) {
      const missing = settings.find((setting) =>
        setting.postedAt === undefined && this.#isMissing(setting)
      );
      if (missing) {
        throw new Violation(`${name} is safe, but not its setting of ${missing.channel}`);
      }
      if (of !== undefined && !isEffectKept) {
        throw new Violation(`${name} is safe, but not its effect`);
      }
      if (asked !== undefined && ![...this.things.values()].some((it) => it.answers.has(asked))) {
        throw new Violation(`${name} is safe, but not its answer`);
      }
    }
    for (const setting of this.#ended) {
      if (!this.#isMissing(setting)) continue;
      const { books: { id }, channel, value } = setting;
      throw new Violation(`${id}: ${channel} ${value} was posted, and is not set`);
    }
    this.#touched.clear();
    this.#changed.clear();
    this.#ended.clear();
    this.committedAt = this.#time;
    this.mqtt?.committed();
    for (const [id, { outbox }] of devices) this.things.get(id)?.checkOutbox(outbox);
  }

  /** Neither it nor something newer has become safe. */
  #isMissing(setting: Setting): boolean {
    const { isKept, isForgotten } = setting;
    return !isKept && !isForgotten && !this.#changed.has(channelOf(setting));
  }

  /** A process of a fleet has ended. */
  died(process: object): void {
    for (const thing of this.things.values()) thing.ends((from) => from.process === process);
  }

  /** The server has lost a device to another one. */
  lost(id: string): void {
    this.things.get(id)?.serverDied();
    this.mqtt?.lost(id);
  }

  /** The server has died, and lost everything that was not safe. */
  serverDied(): void {
    this.mqtt?.serverDied();
    this.#attempts.clear();
    this.#processing.clear();
    for (const thing of this.things.values()) thing.serverDied();
  }
}

function channelOf({ books: { id }, channel }: Setting): string {
  return `${id}\0${channel}`;
}
