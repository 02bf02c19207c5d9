/**
 * Opens a door for a known badge; the device's side is `client-as/examples/door.ts`, with a reader that sends
 * `!badge@123456 1234`. A request has a deadline, so the door opens in time or not at all, and never after an outage.
 * `server/main.ts request front/door open --deadline 5000` opens it, too.
 */
import { channels, LocalError, type Thing } from "../mod.ts";

/** How long a person waits at the door, in ms. */
const PATIENCE = 5000;

const BADGES: readonly unknown[] = [1234, 5678];

export default channels({
  badge(code, { thing, at }) {
    const left = at ? PATIENCE - (Date.now() - at.getTime()) : 0; // the badge may be late, after an outage
    if (left > 0 && BADGES.includes(code)) void open(thing, Math.min(Math.ceil(left), PATIENCE));
  },
  door: (state, { thing }) => console.log(`${thing.id}: ${state}`),
});

/** Not awaited above: the answer is a later message, so awaiting it there would block. */
async function open(thing: Thing, deadline: number): Promise<void> {
  try {
    console.log(`${thing.id}: ${await thing.request("door", "open", { deadline })}`);
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    console.log(`${thing.id}: not opened: ${error.message}`);
  }
}
