/**
 * Checks how an end judges outages: it must never take a living peer for dead, and must notice a dead one in time.
 */
import { Violation } from "../../bridge/testing/violation.ts";
import type { SimSocket } from "../../bridge/testing/socket.ts";
import type { World } from "./world.ts";

/** Checks the server's reason for ending a connection. @throws {Violation} */
export function judgeEnd(world: World, socket: SimSocket, reason: string, whose: string): void {
  const { end, process } = socket;
  const { clock, scenario: { timeout } } = world;
  switch (reason) {
    case "SILENT":
      if ((socket.tap?.quiet?.() ?? Math.max(end.longestSilence, end.silence)) >= timeout - 2) {
        return;
      }
      throw new Violation(`${whose} is called silent, and was heard ${end.silence} ms ago`);
    case "NO_HELLO":
      if (end.available === 0 || end.heardAt > process.frozenUntil) return;
      throw new Violation(`${whose} is called NO_HELLO, and there are bytes to be read`);
    case "STALLED":
      if (clock.now - Math.max(end.takenAt, socket.heldSince) < timeout - 2) {
        throw new Violation(`${whose} is called stalled, and has taken something just now`);
      }
      if (socket.held > 0 && end.room > 0 && process.isBehind) {
        throw new Violation(`${whose} is called stalled, and would take something`);
      }
  }
}

/** How long an end may take, in ms. */
export interface Patience {
  /** To notice that the other end is silent, and that it takes nothing. */
  silence: number;
  stall: number;
  /** To learn that the other end has taken some of what waits. */
  progress: number;
  /** To send a keepalive when there is nothing else to send. */
  keepalive: number;
  /** @returns until when it was prevented from acting */
  busyUntil(): number;
}

/**
 * Checks, while a socket is open, that its owner notices in time when the other end is gone, and keeps the link alive
 * itself.
 */
export function watchSocket(
  { clock }: World,
  socket: SimSocket,
  { silence, stall, progress, keepalive, busyUntil }: Patience,
  who: string,
): void {
  const { process, end } = socket;
  const { life } = process;
  const freeSince = () => Math.max(process.frozenUntil, busyUntil(), socket.leftAt);
  const checkWriting = () => {
    if (!socket.isServing || socket.held > 0) return;
    const pause = clock.now - Math.max(socket.wroteAt, socket.takenAllAt, freeSince());
    if (pause > keepalive) {
      throw new Violation(`${who} has sent nothing to ${socket.address} for ${pause} ms`);
    }
  };
  const look = () => {
    if (!socket.isOpen || process.life !== life) return;
    const { now } = clock;
    const free = freeSince();
    const heard = socket.pausedAt === undefined ? Math.max(end.heardAt, socket.readAt, free) : now;
    const taken = socket.held > 0 ? Math.max(end.takenAt, socket.heldSince, free) : now;
    // It knows when it wrote, but not when some of that was taken.
    const most = stall + (end.takenAt > socket.heldSince ? progress : 0);
    const complain = (what: string, since: number) => {
      throw new Violation(`${who} does not notice that ${socket.address} ${what} since ${since}`);
    };
    if (now - heard > silence) complain("is silent", heard);
    if (now - taken > most) complain("takes nothing", taken);
    checkWriting();
    clock.at(Math.min(heard + silence, taken + most) + 1, look);
  };
  clock.after(Math.min(silence, stall) + 1, look);
  socket.onWrite = checkWriting;
}
