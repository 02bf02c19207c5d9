/** Bugs of the server, by replaced methods. */
import { Access } from "../../server/admission/access.ts";
import { Admission } from "../../server/admission/admission.ts";
import { Dialect2 } from "../../server/link/dialect2.ts";
import { DuplicateRecord } from "../../server/link/duplicates.ts";
import { PeerError } from "../../server/protocol/errors.ts";
import { WELCOME } from "../../server/protocol/greeting.ts";
import { Session } from "../../server/link/session.ts";
import { WITHDRAWN } from "../../server/store/store.ts";
import { LineSplitter, LOGGED } from "../../server/protocol/lines.ts";
import type { Socket } from "./network.ts";
import { all, patch, patchGetter, type Undo } from "./patch.ts";
import { SimServer } from "./server.ts";
import { ServerConnection } from "./server_connection.ts";
import { ServerDevice } from "./server_device.ts";

type Bugs = Record<string, () => Undo>;

const NOTHING = new Uint8Array(0);

/** How dialect 1 tells repeats. */
export const DIALECT1_BUGS: Bugs = {
  "the first message after a boot is new each time it comes": () =>
    patch(
      DuplicateRecord.prototype,
      "note",
      (_, note, id, text, connection) => note(id, text, connection) || id === 0,
    ),
  "ids alone tell repeats": () =>
    patch(
      DuplicateRecord.prototype,
      "note",
      (self, note, id, text, connection) =>
        self.noted(id) === undefined && note(id, text, connection),
    ),
  "repeats are forgotten after two messages": () => {
    const newest = new WeakMap<DuplicateRecord, number[]>();
    return patch(DuplicateRecord.prototype, "note", (self, note, id, text, connection) => {
      const remembered = newest.get(self) ?? [];
      const isNew = note(id, text, connection);
      if (!remembered.includes(id)) newest.set(self, [id, ...remembered].slice(0, 2));
      return isNew || !remembered.includes(id);
    });
  },
};

/** What ends or blocks the program. */
export const PROGRAM_BUGS: Bugs = {
  "a newline at the start of a segment is a keepalive": () =>
    patch(
      LineSplitter.prototype,
      "push",
      (self, push, chunk) => push(chunk[0] === 10 && self.held > 0 ? chunk.subarray(1) : chunk),
    ),
  "half a line of a dead connection is glued to the next one's first": () => {
    const known = new WeakSet<LineSplitter>();
    let rest = NOTHING;
    return patch(LineSplitter.prototype, "push", (self, push, chunk) => {
      const bytes = known.has(self) ? chunk : Uint8Array.from([...rest, ...chunk]);
      known.add(self);
      const lines = push(bytes);
      rest = self.held > 0 ? bytes.slice(bytes.lastIndexOf(10) + 1) : NOTHING;
      return lines;
    });
  },
  "a character cut by a segment ends the program": () =>
    patch(LineSplitter.prototype, "push", (_, push, chunk) => {
      if ((chunk.at(-1) ?? 0) >= 0xc0) throw new TypeError("a character is incomplete");
      return push(chunk);
    }),
  "a line without an id ends the program": () =>
    patch(Session.prototype, "receive", (_, receive, lines, now) => {
      try {
        receive(lines, now);
      } catch (error) {
        if (error instanceof PeerError && error.code === "BAD_LINE") throw new TypeError("no id");
        throw error;
      }
    }),
  "a bad byte in an id ends the program": () =>
    patch(Admission.prototype, "receive", (_, receive, chunk) => {
      try {
        return receive(chunk);
      } catch (error) {
        if (error instanceof PeerError && error.cause) throw new TypeError("a bad byte");
        throw error;
      }
    }),
  "a silent connection holds up the next ones": () => {
    let busy: Socket | undefined;
    return all(
      patch(SimServer.prototype, "accept", (server, accept, socket) => {
        if (busy && !busy.closed) return server.life.after(50, () => server.accept(socket));
        busy = socket;
        server.life.after(server.world.scenario.timeout, () => {
          if (busy === socket) busy = undefined;
        });
        accept(socket);
      }),
      patch(ServerDevice.prototype, "serve", (_, serve, connection, admitted) => {
        busy = undefined;
        serve(connection, admitted);
      }),
    );
  },
  "a new connection is refused while the old one seems to live": () =>
    patch(ServerDevice.prototype, "serve", (device, serve, connection, admitted) => {
      if (device.connected) connection.end();
      else serve(connection, admitted);
    }),
  "a send that a timeout has ended throws in the application's write": () => {
    const silent = new WeakSet<Session>();
    return all(
      patch(Session.prototype, "tick", (session, tick, now) => {
        try {
          tick(now);
        } catch (error) {
          silent.add(session);
          throw error;
        }
      }),
      patch(Session.prototype, "write", (session, write, ...args) => {
        if (silent.has(session) && !session.connected) throw new TypeError("the send is cancelled");
        return write(...args);
      }),
    );
  },
};

/** Lines of the log begin with something else when they are accepted. */
function marksLogs(mark: string): () => Undo {
  return () =>
    patch(Dialect2.prototype, "accept", (_, accept, line, hasRoom) => {
      const logs = line.startsWith(LOGGED, 2);
      return accept(logs ? line.slice(0, 2) + mark + line.slice(3) : line, hasRoom);
    });
}

/** The greeting, and what follows from it. */
export const GREETING_BUGS: Bugs = {
  "a line of the log is given to the application": marksLogs("\x02"),
  "a line of the log is acknowledged, and not logged": marksLogs(WITHDRAWN),
  "what comes together with the greeting is discarded": () =>
    patchGetter(Admission.prototype, "rest", () => NOTHING),
  "a gap is accepted, where messages were discarded": () =>
    all(
      patchGetter(Admission.prototype, "rest", () => NOTHING),
      patch(Dialect2.prototype, "check", () => {}),
    ),
  "a proof is not checked": () => patch(Access.prototype, "checkProof", () => {}),
  "a hello alone takes the connection": () =>
    patch(Admission.prototype, "receive", (_, receive, chunk) => {
      const step = receive(chunk);
      if (!step.output.startsWith(`${WELCOME}00`)) return step;
      return { ...step, ...receive(Uint8Array.of(10)), output: step.output };
    }),
  "the welcome goes out before the commit": () =>
    patch(ServerConnection.prototype, "greet", (connection, _, output) => connection.write(output)),
  "acks and messages go out before the commit": () =>
    patch(SimServer.prototype, "touch", (server, touch, result) => {
      touch(result);
      if (!server.failing) server.life.after(0, () => result(true));
    }),
  "the window is off by one": () =>
    patch(Dialect2.prototype, "transmit", ({ hello }, transmit) => {
      hello.window++;
      transmit();
      hello.window--;
    }),
  "the device's credit in bytes is ignored": () =>
    patch(Dialect2.prototype, "transmit", ({ hello }, transmit) => {
      const { bytes } = hello;
      hello.bytes = Infinity;
      transmit();
      hello.bytes = bytes;
    }),
};
