/**
 * Tells a repeat from a new message in dialect 1, whose only name for a message is an id of eight bits.
 *
 * The rule is that of the client core: a repeat carries what the same id carried a short while ago, so
 * the record keeps, for each id, a hash of its last text. That settles what ids alone leave open:
 *
 * - an ack was lost and the message comes again, after any number of newer ones up to {@link REACH};
 * - a device has booted, and its first message (id 00) was lost: the ids are old, but not their texts;
 * - id 00 again: a repeat on the connection that brought it, or while nothing newer was heard; else the
 *   device has booted, though it may say the same as the last time.
 *
 * What remains ambiguous: a booted device whose id 00 was lost, and whose next messages carry to the
 * letter what the same ids carried within the last {@link REACH_BACK} messages.
 */

/** How many newer messages may lie between a message and its repeat on one connection; ids come round
 * after 255, so a message with an old id and an old text that is further back is a new one. */
const REACH = 223;

/** The same, where the connection has changed since: what was in flight when the old one died. */
const REACH_BACK = 64;

interface Heard {
  hash: number;
  /** Position among all messages heard. */
  position: number;
  connection: number;
}

/** What one device's last messages were. */
export class DuplicateRecord {
  #heard = new Map<number, Heard>();
  #position = 0;

  /** Whether this is a repeat of a message that was noted before. */
  isRepeat(id: number, text: string, connection: number): boolean {
    const last = this.#heard.get(id);
    if (!last || last.hash !== hash(text)) return false;
    const newer = this.#position - last.position;
    if (last.connection === connection) return newer < REACH;
    return newer < (id === 0 ? 1 : REACH_BACK);
  }

  /** Notes a new message. Id 00 forgets all that came before it. */
  note(id: number, text: string, connection: number): void {
    if (id === 0) this.#heard.clear();
    this.#heard.set(id, { hash: hash(text), position: ++this.#position, connection });
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
