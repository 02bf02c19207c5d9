/** One connection at the simulated server: what `server/runtime/connection.ts` does with a socket. */
import { Admission } from "../../server/admission/admission.ts";
import { type PeerCode, PeerError } from "../../server/protocol/errors.ts";
import type { Session } from "../../server/link/session.ts";
import { lineId, LineSplitter } from "../../server/protocol/lines.ts";
import { Credit } from "./credit.ts";
import type { Socket } from "./network.ts";
import { Violation } from "./promises.ts";
import type { SimServer } from "./server.ts";
import type { ServerDevice } from "./server_device.ts";

/** Bytes read at once. */
const READ_BYTES = 4096;

/** What an honest device is never accused of. */
const ACCUSATIONS: ReadonlySet<PeerCode> = new Set([
  "BAD_LINE",
  "BAD_POSITION",
  "BAD_UTF8",
  "CREDIT",
  "GAP",
  "LINE_TOO_LONG",
]);

const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);

export class ServerConnection {
  #socket: Socket | undefined;
  #admission: Admission | undefined;
  #splitter: LineSplitter;
  #device: ServerDevice | undefined;
  #session: Session | undefined;
  #greets = false; // its welcome waits for the commit
  #dialect = 0;
  #toDevice: Credit | undefined;
  #fromDevice: Credit | undefined;
  #output = NOTHING;
  #writingSince = 0;
  #waits = false; // for the socket to take more

  constructor(readonly server: SimServer, socket: Socket) {
    const { life, host, limits, world } = server;
    this.#socket = socket;
    this.#admission = new Admission(host, socket.path.hostname);
    this.#splitter = new LineSplitter(limits.lineBytes + 2);
    socket.owner = {
      readable: () => life.enter(() => this.#readable()),
      writable: () => life.enter(() => this.#writable()),
      ended: () => life.enter(() => this.end(new PeerError("LOST", "reset"))),
    };
    life.after(world.scenario.timeout, () => {
      if (this.#admission) this.end(new PeerError("NO_HELLO", "no complete hello in time"));
    });
  }

  get isWriting(): boolean {
    return this.#output.length > 0;
  }

  #readable(): void {
    const socket = this.#socket;
    if (!socket) return;
    try {
      while (this.#reads && socket.available > 0) {
        const bytes = socket.read(READ_BYTES);
        if (this.#session) this.#take(bytes);
        else this.#greet(bytes);
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      const admission = this.#admission;
      if (admission?.isLate) {
        this.#greets = true; // reads nothing any more
        return this.server.life.after(
          this.server.world.scenario.timeout / 4,
          () => this.#refuse(error),
        );
      }
      return this.#refuse(error);
    }
    if (this.#reads && socket.isAtEnd) this.end(new PeerError("LOST", "closed"));
  }

  #refuse(error: PeerError): void {
    if (!this.#socket) return;
    const farewell = this.#admission?.farewell(error);
    if (farewell) this.write(farewell);
    this.end(error);
  }

  get #reads(): boolean {
    return this.#socket !== undefined && !this.#greets && (this.#session?.wantsInput ?? true);
  }

  #greet(bytes: Uint8Array): void {
    const { server } = this;
    const { output, admitted } = this.#admission!.receive(bytes);
    if (output !== "") this.greet(output);
    if (!admitted) return;
    admitted.check();
    const { rest } = this.#admission!;
    const device = this.#device = server.meet(admitted.id);
    this.#admission = undefined;
    device.serve(this, admitted);
    this.#session = device.session;
    this.#dialect = admitted.dialect;
    const plan = server.world.planOf(admitted.id);
    if (plan) {
      if (admitted.metadata !== (admitted.dialect === 2 ? plan.metadata : "")) {
        throw new Violation(`${plan.id} is said to have said ${admitted.metadata} of itself`);
      }
      const { window, inbox, line } = plan.size;
      this.#toDevice = new Credit(`server to ${plan.id}`, window, inbox - line - 3);
      this.#fromDevice = new Credit(plan.id, 64, 4 * (server.limits.lineBytes + 3));
    }
    this.#tick();
    if (rest.length > 0 && this.#socket) this.#take(rest);
  }

  /** A welcome, too, says what has arrived: it goes out when that is safe. */
  greet(output: string): void {
    this.#greets = true;
    this.server.touch((safe) => {
      if (!safe || !this.#socket) return;
      this.write(output);
      this.#greeted();
    });
  }

  #greeted(): void {
    if (this.isWriting) return;
    this.#greets = false;
    this.server.life.after(0, () => this.#readable());
  }

  #take(bytes: Uint8Array): void {
    this.#device!.changed();
    const lines = this.#splitter.push(bytes);
    if (this.#dialect === 2) this.#watch(lines.lines, this.#fromDevice, this.#toDevice);
    this.#session!.receive(lines, this.server.now());
  }

  /** Lines have come, or go out. */
  #watch(lines: string[], messages: Credit | undefined, acks: Credit | undefined): void {
    for (const line of lines) {
      if (line.length > 2) messages?.sent(line);
      else if (line.length === 2) acks?.acknowledged(lineId(line));
    }
  }

  /** @param safe False while the store fails: then keepalives are all. */
  flush(safe: boolean): void {
    const session = this.#session;
    if (!session || !this.#socket) return;
    if (!this.isWriting) {
      const now = this.server.now();
      const output = safe ? session.transmit(now) : session.keepAlive(now);
      if (output !== "") this.write(output);
      if (output !== "" && this.#dialect === 2) {
        this.#watch(output.split("\n"), this.#toDevice, this.#fromDevice);
      }
    }
    if (this.#waits || !session.wantsInput) return;
    if (this.#socket && (this.#socket.available > 0 || this.#socket.isAtEnd)) {
      this.#waits = true; // the reader wakes up in a later turn
      this.server.life.after(0, () => {
        this.#waits = false;
        this.#readable();
      });
    }
  }

  /** Hands bytes to the socket. */
  write(output: string): void {
    this.#output = encoder.encode(output);
    this.#writingSince = this.server.now();
    this.#push();
  }

  #push(): void {
    const n = this.#socket!.write(this.#output);
    if (n > 0) this.#writingSince = this.server.now();
    this.#output = this.#output.subarray(n);
  }

  #writable(): void {
    if (!this.#socket || !this.isWriting) return;
    this.#push();
    if (this.#greets) this.#greeted();
    else if (!this.isWriting) this.#device?.changed();
  }

  readonly #tick = (): void => {
    const session = this.#session;
    if (!session || !this.#socket) return;
    const now = this.server.now();
    try {
      session.tick(now);
      if (this.isWriting && now - this.#writingSince >= session.timeout) {
        throw new PeerError("STALLED", "the other end takes nothing");
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      return this.end(error);
    }
    this.#device!.changed();
    const soon = session.timeout / 40;
    this.server.life.after(Math.ceil(Math.max(session.deadline() - now, soon)), this.#tick);
  };

  /** Ends the connection, for this reason or because a newer one takes its place. */
  end(reason?: PeerError): void {
    if (!this.#socket) return;
    const { world } = this.server;
    if (reason && this.#device?.books && ACCUSATIONS.has(reason.code)) {
      throw new Violation(`the server accuses ${this.#device.id}: ${reason.message}`);
    }
    world.log?.(`server: connection of ${this.#device?.id ?? "?"} ends: ${reason ?? "replaced"}`);
    this.#socket.close();
    this.#gone();
    this.server.forget(this);
    if (reason) this.#device?.lost(this);
  }

  /** The process is killed. */
  die(closes: boolean): void {
    if (closes) this.#socket?.close();
    else this.#socket?.vanish();
    this.#gone();
  }

  #gone(): void {
    this.#admission?.end();
    this.#socket = undefined;
    this.#session = undefined;
    this.#admission = undefined;
    this.#output = NOTHING;
  }
}
