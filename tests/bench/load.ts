/**
 * The load: connections that speak either dialect on raw sockets, in a process of their own, the same for
 * every server. Takes one JSON object per line on stdin ({@linkcode Command}), answers each with one on stdout, and
 * exits when stdin is closed.
 *
 * Checks that every ack is the expected one. Keepalives keep waiting connections alive.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import { Ephemeral } from "../../server/protocol/ephemeral.ts";
import { Seal, sealKeys } from "../../server/protocol/seal.ts";
import { helloLine, parseWelcome, proveLine } from "../support/greeting.ts";
import { measureFor, sleep } from "./measured.ts";

/** Orders to the loader. */
export type Command =
  /** Connects all ids at once, besides those that are connected; answers with an {@linkcode Opened}. */
  | { do: "open"; port: number; ids: string[]; dialect: 1 | 2; says?: Saying; proof?: Proof }
  /** Sends on all connections, with `window` messages in flight on each; answers with a {@linkcode Run}. */
  | { do: "run"; window: number; warmUpMs: number; ms: number }
  /** Closes all connections; answers with a {@linkcode Closed}. */
  | { do: "close" };

/** The messages: plain lines, or reports of a channel, each with another value. */
export type Saying = "lines" | "reports";

/** How a connection of dialect 2 proves its key. */
export interface Proof {
  suite: "02" | "03" | "04";
  /** The key of all devices, 64 hex digits. */
  key: string;
}

export interface Opened {
  /** From the first connection attempt until all connections had been greeted. */
  ms: number;
}

export interface Run {
  /** Messages acknowledged per second, after the warm-up. */
  rate: number;
  /** From a message's sending to its ack, in µs: the median and the 99th percentile of a sample. */
  p50: number;
  p99: number;
}

export interface Closed {
  /** All messages acknowledged since these connections were opened. */
  acked: number;
}

const TEXT_BYTES = 32;
const LINE_BYTES = TEXT_BYTES + 3;

/** Interval of keepalives of a waiting connection; servers run with a timeout of 2000 ms or more. */
const KEEPALIVE_MS = 400;

/** Connections whose round trips are sampled. */
const SAMPLED = 10;

const MOST_WINDOW = 64;

const KEEPALIVE = new TextEncoder().encode("\n");

/** A connection's messages: one for each of the dialect's ids, in 16 variants. */
interface Script {
  /** Messages before it repeats. */
  round: number;
  /** Their lines, followed by enough of the first ones to wrap around. */
  lines: Uint8Array;
}

function script(ids: number, first: number, says: Saying = "lines"): Script {
  const round = ids * 16;
  const lines = Array.from({ length: round + MOST_WINDOW }, (_, i) => {
    const id = (i % ids + first).toString(16).padStart(2, "0");
    const text = says === "lines"
      ? `message ${i % round}`.padEnd(TEXT_BYTES, ".")
      : `=temp ${i % round}.`.padEnd(TEXT_BYTES, "5");
    return `${id}${text}\n`;
  });
  return { round, lines: new TextEncoder().encode(lines.join("")) };
}

/** Dialect 1 has 01 … ff, dialect 2 00 … ff. */
const SCRIPTS = { 1: script(255, 1), 2: script(256, 0) };
const REPORTS = { 1: script(255, 1, "reports"), 2: script(256, 0, "reports") };

/** Longest text that a connection takes, in bytes. */
const LINE = 1 << 14;

/** A hello of dialect 2, with a new stream. */
function hello2(id: string, suite = "00", ephemeral?: Ephemeral): string {
  const txEpoch = crypto.getRandomValues(new Uint32Array(1))[0]! || 1;
  const said = { suite, txEpoch, bytes: 1 << 16, line: LINE, id };
  return helloLine(ephemeral ? { ...said, nonce: ephemeral.publicKey } : said);
}

/** The device's proof, and the seal for what follows, if there is one. */
function prove(
  proof: Proof,
  hello: string,
  welcome: string,
  ephemeral?: Ephemeral,
): [line: string, seal?: Seal] {
  const key = Uint8Array.fromHex(proof.key);
  const line = proveLine(key, hello, welcome.trimEnd());
  if (proof.suite === "02") return [line];
  const shared = ephemeral?.share(parseWelcome(welcome).nonce);
  const { toServer, toDevice } = sealKeys(key, `${hello}\n${welcome}`, shared);
  return [line, new Seal(toServer, toDevice, LINE, parseWelcome(welcome).line)];
}

/** The first message after a boot. */
const FIRST = new TextEncoder().encode(`00${"message 0".padEnd(TEXT_BYTES, ".")}\n`);

class LoadConnection {
  acked = 0;
  /** Start of the measured round trip, and the message whose ack ends it. */
  #probe = 0;
  #probed = -1;
  #next = 0; // index in the script of the next message to send
  #due = 0; // index in the script of the message whose ack is next
  #inFlight = 0;
  #column = 0; // in the current line
  #first = false; // whether the ack of FIRST is next
  #idle = () => {};
  #window = 0;
  #closed = false;
  readonly #script: Script;

  private constructor(
    readonly conn: Deno.TcpConn,
    readonly dialect: 1 | 2,
    readonly samples: number[] | undefined,
    says: Saying,
    readonly seal: Seal | undefined,
  ) {
    this.#script = (says === "lines" ? SCRIPTS : REPORTS)[dialect];
  }

  static async open(
    port: number,
    id: string,
    dialect: 1 | 2,
    says: Saying,
    proof?: Proof,
    samples?: number[],
  ): Promise<LoadConnection> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    conn.setNoDelay(true);
    const ephemeral = proof?.suite === "04" ? new Ephemeral() : undefined;
    const hello = dialect === 1 ? id : hello2(id, proof?.suite, ephemeral);
    await conn.write(new TextEncoder().encode(`${hello}\n`));
    const buffer = new Uint8Array(256);
    let greeting = "";
    while (!greeting.endsWith("\n")) {
      const n = await conn.read(buffer);
      if (n === null) throw new Error("no greeting");
      greeting += new TextDecoder().decode(buffer.subarray(0, n));
    }
    if (!greeting.startsWith(dialect === 1 ? "\n" : "\x02")) throw new Error("a bad greeting");
    const [line, seal] = proof ? prove(proof, hello, greeting, ephemeral) : [""];
    await conn.write(new TextEncoder().encode(line));
    const connection = new LoadConnection(conn, dialect, samples, says, seal);
    connection.#write(KEEPALIVE);
    if (dialect === 2) connection.#read().catch((error) => connection.#fail(error));
    return connection;
  }

  /** In dialect 1, sends a device's first message after its boot, unless it was sent. */
  async boot(): Promise<void> {
    if (this.acked > 0 || this.dialect === 2) return;
    this.#first = true;
    this.#inFlight = 1;
    this.#read().catch((error) => this.#fail(error));
    await this.conn.write(FIRST);
    await this.stop();
  }

  start(window: number): void {
    this.#window = window;
    this.#send(window);
  }

  /** Stops sending, and waits for the missing acks. */
  async stop(): Promise<void> {
    this.#window = 0;
    if (this.#inFlight > 0) await new Promise<void>((resolve) => this.#idle = resolve);
  }

  keepAlive(): void {
    if (this.#window === 0) this.#write(KEEPALIVE);
  }

  /** Without waiting: the socket keeps the order. */
  #write(bytes: Uint8Array): void {
    const output = this.seal?.seal(bytes) ?? bytes;
    this.conn.write(output).then((n) => {
      if (n < output.length) throw new Error("a socket took less than a window"); // it never does
    }).catch((error) => this.#fail(error));
  }

  #fail(error: Error): void {
    if (!this.#closed) fail(error);
  }

  close(): void {
    this.#closed = true;
    this.conn.close();
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(4096);
    for (;;) {
      const n = await this.conn.read(buffer);
      if (n === null) throw new Error("the server ended a connection");
      const bytes = this.#opened(buffer.subarray(0, n));
      const acks = this.dialect === 1 ? this.#countAcks(bytes) : this.#addUpAcks(bytes);
      if (acks === 0) continue;
      this.acked += acks;
      this.#inFlight -= acks;
      if (this.#window > 0) this.#send(acks);
      else if (this.#inFlight === 0) this.#idle();
    }
  }

  #opened(read: Uint8Array): Uint8Array {
    if (!this.seal) return read;
    const { bytes, error } = this.seal.open(read);
    if (error) throw error;
    return bytes;
  }

  #countAcks(bytes: Uint8Array): number {
    let acks = 0;
    for (const byte of bytes) {
      if (byte === 10) {
        if (this.#column === 2) {
          acks++;
          this.#passed();
        }
        this.#column = 0;
        continue;
      }
      const { lines } = this.#script;
      const due = this.#first ? FIRST[this.#column] : lines[this.#due * LINE_BYTES + this.#column];
      if (byte !== due || this.#column++ > 1) throw new Error("an ack is not the one that is due");
    }
    return acks;
  }

  #id = 0; // of the current ack, in dialect 2

  /** In dialect 2 an ack is for all messages up to it. */
  #addUpAcks(bytes: Uint8Array): number {
    let acks = 0;
    for (const byte of bytes) {
      if (byte !== 10) {
        const digit = byte - (byte < 58 ? 48 : 87);
        if (digit < 0 || digit > 15 || this.#column++ > 1) throw new Error("not only acks came");
        this.#id = this.#id << 4 | digit;
        continue;
      }
      if (this.#column === 2) {
        const count = ((this.#id - this.#due) & 255) + 1;
        if (acks + count > this.#inFlight) throw new Error("an ack of what was not sent came");
        for (let passed = 0; passed < count; passed++) this.#passed();
        acks += count;
      } else if (this.#column > 0) throw new Error("half an ack came");
      this.#column = this.#id = 0;
    }
    return acks;
  }

  /** The expected ack has arrived. */
  #passed(): void {
    if (this.#first) {
      this.#first = false;
      return;
    }
    if (this.#due === this.#probed) {
      this.samples!.push(performance.now() - this.#probe);
      this.#probed = -1;
    }
    this.#due = (this.#due + 1) % this.#script.round;
  }

  #send(count: number): void {
    const start = this.#next;
    const { round, lines } = this.#script;
    this.#next = (start + count) % round;
    this.#inFlight += count;
    if (this.samples && this.#probed < 0) {
      this.#probed = start;
      this.#probe = performance.now();
    }
    this.#write(lines.subarray(start * LINE_BYTES, (start + count) * LINE_BYTES));
  }
}

/** A loader that is not sure of its figures must not give any. */
function fail(error: Error): never {
  console.log(JSON.stringify({ error: error.message }));
  Deno.exit(1);
}

let connections: LoadConnection[] = [];
const samples: number[] = [];

async function open(
  port: number,
  ids: string[],
  dialect: 1 | 2,
  says?: Saying,
  proof?: Proof,
): Promise<Opened> {
  const start = performance.now();
  await Promise.all(ids.map(async (id, i) => {
    const sampled = i < SAMPLED ? samples : undefined;
    connections.push(
      await LoadConnection.open(port, id, dialect, says ?? "lines", proof, sampled),
    );
  }));
  return { ms: performance.now() - start };
}

async function run(window: number, warmUpMs: number, ms: number): Promise<Run> {
  await Promise.all(connections.map((connection) => connection.boot()));
  for (const connection of connections) connection.start(window);
  await sleep(warmUpMs);
  samples.length = 0;
  const from = count();
  const start = performance.now();
  await measureFor(ms, () => count() > from && samples.length > 0);
  const seconds = (performance.now() - start) / 1000;
  const rate = (count() - from) / seconds;
  const sorted = samples.map((sample) => sample * 1000).sort((a, b) => a - b);
  await Promise.all(connections.map((connection) => connection.stop()));
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { rate, p50: at(0.5), p99: at(0.99) };
}

function count(): number {
  return connections.reduce((sum, { acked }) => sum + acked, 0);
}

function close(): Closed {
  const acked = count();
  for (const connection of connections) connection.close();
  connections = [];
  return { acked };
}

async function obey(command: Command): Promise<Opened | Run | Closed> {
  switch (command.do) {
    case "open":
      return await open(command.port, command.ids, command.dialect, command.says, command.proof);
    case "run":
      return await run(command.window, command.warmUpMs, command.ms);
    case "close":
      return close();
  }
}

setInterval(() => {
  for (const connection of connections) connection.keepAlive();
}, KEEPALIVE_MS);
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of lines) {
  console.log(JSON.stringify(await obey(JSON.parse(line)).catch(fail)));
}
Deno.exit();
