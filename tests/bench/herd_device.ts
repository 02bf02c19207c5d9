/**
 * One device of a herd: speaks dialect 2 (suite 00) on a raw socket, sends keepalives, and connects again as
 * our client does (`client-as/assembly/core.ts`). It is as lean as possible, so that ten thousand of them leave the
 * machine to the server.
 *
 * @module
 */
import { connect, type Socket } from "node:net";

/** Timeout of the link, in ms: the server's as well. */
export const TIMEOUT = 2000;

/** How long an attempt to connect may take, and then a greeting. */
const ATTEMPT = TIMEOUT * 3 / 8;

const IDLE = 0, CONNECTING = 1, GREETING = 2, UP = 3;

const LF = 10;

/** The largest window that a device needs. */
const MOST = 64;

const TEXT_BYTES = 32;

/** A welcome after its first byte: suite 00, seven words and a nonce. */
const WELCOME = /^00[0-9a-f]{88}$/;

/** State shared by all devices of a herd. */
export interface Herd {
  /** The server's port. */
  port: number;
  /** Number of the current server, 0 between two: connections that the first closed are not the second's fault. */
  server: number;
  /** Whether the server speaks dialect 2. A bare one answers the hello with a keepalive. */
  welcomes: boolean;
  /**
   * The time in ms, without the time for which this process itself was held up, for which the server is not to blame.
   */
  clock: number;
  counts: Counts;
  /** A link is up. */
  came(): void;
  /** A message was acknowledged that was written at this time. */
  acked(writtenAt: number): void;
  /** The server breaks the protocol, so its figures are worthless. */
  fail(what: string): void;
}

/** Counts of events on the links of a herd. */
export interface Counts {
  /** Links that are up. */
  up: number;
  /** Attempts to connect. */
  attempts: number;
  /** Attempts without an answer, and answered ones without a greeting. */
  noAnswer: number;
  noGreeting: number;
  /** Connections that the server closed: before they were up, and after. */
  closedEarly: number;
  closed: number;
  /** Links that were silent for the timeout. */
  silent: number;
}

export class HerdDevice {
  #state = IDLE;
  #socket: Socket | undefined;
  #server = 0; // the server that took the connection
  #since = 0; // time of the attempt, then of the greeting, then of the last bytes
  #suspect = -1; // when it was first found silent
  #upAt = 0;
  #resumeAt = 0;
  #failures = 0;
  #partial = ""; // the beginning of a line
  readonly #epoch = random32() || 1;
  #first = 0; // number of the oldest message without an ack
  #written: number[] | undefined; // writing times of those without an ack
  #peerEpoch = 0;
  #expected = 0;

  constructor(readonly herd: Herd, readonly id: string) {}

  get up(): boolean {
    return this.#state === UP;
  }

  /** Messages without an ack. */
  get waiting(): number {
    return this.#written?.length ?? 0;
  }

  /** Does what is due while there is no link. Returns whether anything was. */
  step(): boolean {
    const { clock } = this.herd;
    if (this.#state === UP) return false;
    if (this.#state === IDLE) {
      if (clock < this.#resumeAt) return false;
      this.#connect();
    } else {
      if (clock - this.#since < ATTEMPT) return false;
      const answered = this.#state === GREETING;
      this.herd.counts[answered ? "noGreeting" : "noAnswer"]++;
      this.#down(answered ? "given up" : "unanswered");
    }
    return true;
  }

  #connect(): void {
    const { herd } = this;
    herd.counts.attempts++;
    this.#state = CONNECTING;
    this.#since = herd.clock;
    const socket = connect({ host: "127.0.0.1", port: herd.port, noDelay: true });
    this.#socket = socket;
    socket.on("connect", () => {
      if (this.#socket !== socket) return;
      this.#state = GREETING;
      this.#server = herd.server;
      this.#since = herd.clock;
      socket.write(this.#hello());
    });
    socket.on("data", (input) => {
      if (this.#socket === socket) this.#receive(input as Uint8Array);
    });
    socket.on("error", (error: Error & { code?: string }) => {
      // Refused and reset connections are the server's fault, all other errors are ours.
      if (!/^E(CONN|PIPE|TIMEDOUT)/.test(error.code ?? "")) {
        herd.fail(`a device's socket: ${error}`);
      }
    });
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      if (this.#state !== CONNECTING && herd.server > 0 && this.#server === herd.server) {
        herd.counts[this.#state === UP ? "closed" : "closedEarly"]++;
      }
      this.#down("lost");
    });
  }

  #hello(): string {
    const words = [
      this.#epoch,
      this.#first,
      this.#peerEpoch,
      this.#expected,
      MOST,
      1 << 16,
      1 << 14,
    ];
    for (let i = 0; i < 4; i++) words.push(random32());
    return `\x0100${words.map(hex32).join("")}${this.id}\treset=power version=0.1.0 board=nonos\n`;
  }

  #receive(input: Uint8Array): void {
    if (this.#state === UP) this.#since = this.herd.clock;
    if (input.length === 1 && input[0] === LF && this.#partial === "" && this.#state === UP) return;
    this.#partial += decoder.decode(input); // only ASCII arrives
    for (let end; (end = this.#partial.indexOf("\n")) >= 0;) {
      const line = this.#partial.slice(0, end);
      this.#partial = this.#partial.slice(end + 1);
      if (this.#state !== UP) this.#greeted(line);
      else if (line.length === 2) this.#take(line);
      else if (line !== "") this.herd.fail(`a device was sent ${JSON.stringify(line)}`);
    }
  }

  /** Takes the welcome. A message that the server took is done, even if its ack was lost. */
  #greeted(line: string): void {
    const { herd } = this;
    if (herd.welcomes) {
      if (!line.startsWith("\x02") || !WELCOME.test(line.slice(1))) {
        return herd.fail(`welcome ${JSON.stringify(line)}`);
      }
      const word = (i: number) => parseInt(line.slice(3 + i * 8, 11 + i * 8), 16);
      const there = word(3) - this.#first;
      if (word(2) !== this.#epoch || there < 0 || there > this.waiting) {
        return herd.fail(
          `the welcome's position is ${word(3)}, not ${this.#first} or a little more`,
        );
      }
      for (let i = 0; i < there; i++) this.#done();
      if (this.#peerEpoch !== word(0)) this.#expected = word(1);
      this.#peerEpoch = word(0);
    } else if (line !== "") return herd.fail(`a bare server said ${JSON.stringify(line)}`);
    this.#state = UP;
    this.#since = this.#upAt = herd.clock;
    this.#suspect = -1;
    herd.counts.up++;
    let output = "";
    for (let i = 0; i < this.waiting; i++) output += message(this.#first + i);
    this.#socket!.write(output || "\n"); // either confirms the connection
    herd.came();
  }

  /** Takes an ack, which covers all messages up to this id. */
  #take(id: string): void {
    const count = ((parseInt(id, 16) - this.#first) & 255) + 1;
    if (!(count <= this.waiting)) return this.herd.fail(`ack ${id} of what was not sent`);
    for (let i = 0; i < count; i++) this.#done();
  }

  #done(): void {
    this.#first++;
    this.herd.acked(this.#written!.shift()!);
  }

  /** Writes a message; without a link it waits for one. @returns false: it has too many on their way */
  write(): boolean {
    const written = this.#written ??= [];
    if (written.length >= MOST) return false;
    if (this.#state === UP) this.#socket!.write(message(this.#first + written.length));
    written.push(performance.now());
    return true;
  }

  /** A new server listens. The old one may still have taken connections before it died. */
  expect(): void {
    if (this.#state >= GREETING && this.#server === 0) this.#server = this.herd.server;
  }

  /** To be called every quarter of the timeout. */
  keepAlive(): void {
    if (this.#state === UP) this.#socket!.write("\n");
  }

  /** A silent link may just be read late: checks whether it is still silent a little later. */
  listen(): void {
    if (this.#state !== UP) return;
    const { clock, counts } = this.herd;
    if (clock - this.#since < TIMEOUT) this.#suspect = -1;
    else if (this.#suspect < 0) this.#suspect = clock;
    else if (clock - this.#suspect >= TIMEOUT / 10) {
      counts.silent++;
      this.#down("silent");
    }
  }

  #down(reason: "lost" | "silent" | "unanswered" | "given up"): void {
    const { clock } = this.herd;
    if (this.#state === UP) {
      this.herd.counts.up--;
      if (clock - this.#upAt >= TIMEOUT) this.#failures = 0;
    }
    this.close();
    // An unanswered attempt was itself the pause.
    const pause = this.#failures > 0 && (reason === "lost" || reason === "silent")
      ? TIMEOUT >> Math.max(6 - this.#failures, 2)
      : 0;
    this.#resumeAt = clock + pause - Math.random() * pause / 2;
    this.#failures++;
  }

  /** Ends the connection, if there is one. */
  close(): void {
    this.#state = IDLE;
    this.#partial = "";
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }
}

const decoder = new TextDecoder();

function message(number: number): string {
  const id = (number & 255).toString(16).padStart(2, "0");
  return `${id}${`message ${number}`.padEnd(TEXT_BYTES, ".")}\n`;
}

function random32(): number {
  return Math.floor(Math.random() * 2 ** 32);
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, "0");
}
