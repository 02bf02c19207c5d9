/**
 * The cost of the page: bytes on the wire, and the server's processor time compared with the same load without it.
 *
 * @module
 */
import type { DevicesUpdate } from "../../server/web/seen.ts";
import { Contestant, freePort } from "./processes.ts";
import { median, progress, type Section } from "./report.ts";

export const DEVICES = 1000;

/** Messages a second, each of another device: this many devices change. */
export const CHANGES = 100;

/** Length of a turn, in ms. */
const TURN_MS = 5000;
const WARM_UP_MS = 2000;

/** Longest time until the page has seen the last message, in ms. */
const PATIENCE = 30_000;

/** Two bursts of changes are further apart than this, in ms. */
const REST_MS = 200;

/** A device of dialect 1 that is never silent for long. */
class LineDevice {
  #id = 0;

  private constructor(readonly conn: Deno.TcpConn) {}

  static async dial(port: number, id: string): Promise<LineDevice> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const device = new LineDevice(conn);
    await device.#say(`${id}\n\n`);
    void conn.readable.pipeTo(new WritableStream()).catch(() => {}); // it is closed
    return device;
  }

  async say(text: string): Promise<void> {
    const id = this.#id.toString(16).padStart(2, "0");
    this.#id = this.#id % 255 + 1;
    await this.#say(`${id}${text}\n`);
  }

  async #say(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await this.conn.write(bytes.subarray(at));
  }
}

/** Devices, and how many of them change each second. */
export class Fleet implements Disposable {
  /** How many messages they have sent, in all. */
  said = 0;
  readonly #devices: LineDevice[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  static async connect(port: number): Promise<Fleet> {
    progress(`${DEVICES} devices connect`);
    const fleet = new Fleet();
    for (let n = 0; n < DEVICES; n++) {
      fleet.#devices.push(await LineDevice.dial(port, `device-${n}`));
    }
    return fleet;
  }

  begin(): void {
    const begin = performance.now();
    this.#timer = setInterval(() => {
      // A timer that is late makes up for it.
      const due = (performance.now() - begin) * CHANGES / 1000;
      while (this.said < due) {
        void this.#devices[this.said++ % DEVICES]!.say("=temp 21.5").catch(() => {}); // it is closed
      }
    }, 1000 / CHANGES);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  [Symbol.dispose](): void {
    this.stop();
    for (const { conn } of this.#devices) conn.close();
  }
}

/** Imitates an open page. */
class Page implements AsyncDisposable {
  bytes = 0;
  /** Bytes until it had seen all devices once. */
  all: number | undefined;
  /** How many messages each device has sent, as last reported. */
  readonly #received = new Map<string, number>();
  #text = "";
  #came = Promise.withResolvers<void>();
  #conn!: Deno.TcpConn;
  #reading!: Promise<void>;

  static async open(port: number): Promise<Page> {
    const page = new Page();
    const conn = page.#conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const lines = [`GET /api/events HTTP/1.1`, `host: localhost:${port}`, "", ""];
    await conn.write(new TextEncoder().encode(lines.join("\r\n")));
    page.#reading = page.#read().catch(() => {}); // it is closed
    return page;
  }

  async #read(): Promise<void> {
    const piece = new Uint8Array(256 * 1024);
    const decoder = new TextDecoder();
    for (let length; (length = await this.#conn.read(piece)) !== null;) {
      // An event ends with an empty line; before it the server sends only "\r\n\r\n".
      const end = piece.subarray(0, length).findIndex((byte, at) =>
        byte === 10 && piece[at + 1] === 10
      );
      if (end >= 0) this.all ??= this.bytes + end;
      this.bytes += length;
      this.#take(decoder.decode(piece.subarray(0, length), { stream: true }));
      this.#came.resolve();
      this.#came = Promise.withResolvers();
    }
  }

  /** An event is a chunk of the answer, and has no "\r\n" in it but those of its frame. */
  #take(text: string): void {
    const events = (this.#text + text).split("\n\n\r\n");
    this.#text = events.pop()!;
    for (const event of events) {
      const [, data] = event.match(/^data: (.*)$/m) ?? [];
      if (data === undefined) continue;
      const { devices }: DevicesUpdate = JSON.parse(data);
      for (const { id, counts } of devices) this.#received.set(id, counts.received);
    }
  }

  /** How many messages devices have sent, as far as reported. */
  get received(): number {
    return this.#received.values().reduce((sum, count) => sum + count, 0);
  }

  /** Waits for a burst and a pause after it: the server sends all counts once a second. */
  async rest(): Promise<void> {
    await this.#came.promise;
    for (let isOver = false; !isOver;) {
      isOver = await Promise.race([
        pause(REST_MS).then(() => true),
        this.#came.promise.then(() => false),
      ]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#conn.close();
    await this.#reading;
  }
}

interface Turn {
  /** Processor time of the server, in s per s. */
  cpu: number;
  /** Bytes a second. */
  rate: number;
}

/** Lets the same load go on with a page and without one, in turns. */
export async function measurePage(rounds: number): Promise<Section> {
  const port = freePort();
  const options = ["--web", String(port), "--timeout", "60000"];
  await using server = await Contestant.holdfast(options);
  using fleet = await Fleet.connect(server.port);
  fleet.begin();
  const turns: Record<"with" | "without", Turn[]> = { with: [], without: [] };
  let all = 0;
  for (let round = -1; round < rounds; round++) { // the first is for the compilers
    for (const kind of ["without", "with"] as const) {
      progress(`${kind} a page, round ${round + 1} of ${rounds}`);
      await using stack = new AsyncDisposableStack();
      const page = kind === "with" ? stack.use(await Page.open(port)) : undefined;
      await pause(WARM_UP_MS);
      all ||= page?.all ?? 0;
      const turn = await measure(server, page);
      if (round >= 0) turns[kind].push(turn);
    }
  }
  await using page = await Page.open(port);
  await pause(WARM_UP_MS);
  fleet.stop();
  await checkSeen(page, fleet);
  return section(turns, all);
}

async function measure(server: Contestant, page: Page | undefined): Promise<Turn> {
  await page?.rest();
  const [before, bytes, begin] = [await server.usage(), page?.bytes ?? 0, performance.now()];
  await pause(TURN_MS);
  await page?.rest(); // only whole bursts: one more or less would be a fifth of the total
  const seconds = (performance.now() - begin) / 1000;
  const after = await server.usage();
  return {
    cpu: ((after?.cpu ?? NaN) - (before?.cpu ?? NaN)) / seconds,
    rate: ((page?.bytes ?? 0) - bytes) / seconds,
  };
}

/** Checks that the page has seen the last changes. @throws if not, so that there are no figures */
async function checkSeen(page: Page, { said }: Fleet): Promise<void> {
  for (let waited = 0; page.received !== said && waited < PATIENCE; waited += 10) await pause(10);
  if (page.received === said) return;
  throw new Error(`the page has seen ${page.received} of ${said} messages`);
}

function section(turns: Record<"with" | "without", Turn[]>, all: number): Section {
  const rows = (["without", "with"] as const).map((kind) => ({
    page: kind,
    cpu: 100 * median(turns[kind].map(({ cpu }) => cpu)),
    rate: median(turns[kind].map(({ rate }) => rate)) / 1000,
  }));
  const rate = rows[1]!.rate;
  const cpu = median(turns.with.map(({ cpu }, round) => 100 * (cpu - turns.without[round]!.cpu)));
  return {
    title: `The page, ${DEVICES} devices, ${CHANGES} changes a second; all of them at first: ${
      Math.round(all / 1000)
    } KB`,
    columns: [
      { key: "page", title: "page" },
      { key: "cpu", title: "server, % of a core", digits: 1 },
      { key: "rate", title: "KB/s to the page", digits: 1 },
    ],
    rows,
    aims: [
      {
        what: "page: bytes",
        aim: "100 KB/s at most",
        measured: `${rate.toFixed(1)} KB/s`,
        met: rate <= 100,
      },
      {
        what: "page: the server's time beside the same load without it",
        aim: "5 % of a core at most",
        measured: `${cpu.toFixed(1)} %`,
        met: cpu <= 5,
      },
    ],
  };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
