/**
 * Tells a repeat from a new message in dialect 1, which identifies a message only by an id of eight
 * bits.
 *
 * The rule is that of the client core: a repeat carries the text that the same id carried recently, so
 * the record keeps a hash of the last text for each id. That resolves cases that ids alone leave open:
 *
 * - an ack was lost and the message comes again, after any number of newer ones up to {@link REACH};
 * - a device has booted, and its first message (id 00) was lost: the ids are old, but their texts are
 *   new;
 * - id 00 again: a repeat on the connection that brought it, or if nothing newer has come; otherwise
 *   the device has booted, though the text may be the same as last time.
 *
 * One case remains ambiguous: a booted device whose id 00 was lost, and whose next messages carry
 * exactly the texts that the same ids carried within the last {@link REACH_BACK} messages.
 */

/** Most newer ids between a message and its repeat on one connection. Ids wrap after 255, so beyond
 * this distance a message with an old id and an old text is a new one. */
const REACH = 223;

/** The same if the connection has changed since: what may have been in flight when the old one died. */
const REACH_BACK = 64;

/** Fields for each id: the hash of its last text, that message's position among all that were
 * received, and its connection. */
const FIELDS = 3;

/** The record of the last message with an id. */
export interface Noted {
  /** Hash of its text, 53 bits. */
  hash: number;
  /** Its position among all messages received: 1, 2, … */
  position: number;
  /** The connection on which it came: the device's count of connections at that time. */
  connection: number;
}

/** The record of one device's last messages. */
export class DuplicateRecord {
  #heard: Float64Array | undefined; // 6 KB, allocated with the first message
  #position = 0; // counted in ids, so that lost messages count too
  #newest = 0;

  /** Whether this is a repeat of a message that was noted before. */
  isRepeat(id: number, text: string, connection: number): boolean {
    return this.#isRepeat(id, hash(text), connection);
  }

  /**
   * Notes a message, unless it is a repeat. Id 00 forgets all that came on earlier connections.
   *
   * @returns whether it is new
   */
  note(id: number, text: string, connection: number): boolean {
    const hashed = hash(text);
    if (this.#isRepeat(id, hashed, connection)) return false;
    const heard = this.#heard ??= new Float64Array(256 * FIELDS).fill(NaN);
    if (id === 0) {
      // A 00 may have been overtaken: messages of this connection came after the boot.
      for (let i = 0; i < heard.length; i += FIELDS) {
        if (heard[i + 2] !== connection) heard.fill(NaN, i, i + FIELDS);
      }
      this.#newest = 0;
    }
    heard[id * FIELDS] = hashed;
    const ahead = (id - this.#newest + 255) % 255;
    if (ahead < 128) { // otherwise it was overtaken
      this.#position += ahead || 1;
      this.#newest = id;
    }
    heard[id * FIELDS + 1] = this.#position;
    heard[id * FIELDS + 2] = connection;
    return true;
  }

  /** The record of an id, 0 to 255; undefined if there is none. */
  noted(id: number): Noted | undefined {
    const at = id * FIELDS;
    const heard = this.#heard;
    if (!heard || Number.isNaN(heard[at])) return undefined;
    return { hash: heard[at]!, position: heard[at + 1]!, connection: heard[at + 2]! };
  }

  /** Restores a record that `noted` returned. */
  restore(id: number, { hash, position, connection }: Noted): void {
    const heard = this.#heard ??= new Float64Array(256 * FIELDS).fill(NaN);
    heard.set([hash, position, connection], id * FIELDS);
    if (position < this.#position) return;
    // A message that was overtaken has the position of the one that overtook it.
    if (position === this.#position && (id - this.#newest + 255) % 255 >= 128) return;
    this.#position = position;
    this.#newest = id;
  }

  #isRepeat(id: number, hashed: number, connection: number): boolean {
    const heard = this.#heard;
    if (heard?.[id * FIELDS] !== hashed) return false;
    const newer = this.#position - heard[id * FIELDS + 1]!;
    if (heard[id * FIELDS + 2] === connection) return newer < REACH;
    return newer < (id === 0 ? 1 : REACH_BACK);
  }
}

/** 53 bits of a text (cyrb53): a false match would need the same id within the record's reach too. */
function hash(text: string): number {
  let a = 0xdeadbeef, b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ a >>> 16, 2246822507) ^ Math.imul(b ^ b >>> 13, 3266489909);
  b = Math.imul(b ^ b >>> 16, 2246822507) ^ Math.imul(a ^ a >>> 13, 3266489909);
  return 4294967296 * (2097151 & b) + (a >>> 0);
}
