/**
 * The chip's serial port on the network (RFC 2217), so that other programs can use it.
 *
 * @module
 */
import { Cable } from "./cable.ts";
import type { Chip } from "./chip.ts";

const IAC = 255;
const SB = 250;
const SE = 240;
const [WILL, WONT, DO, DONT] = [251, 252, 253, 254];
/** Options that both ends may use: binary, echo, no go-ahead, serial port. */
const BINARY = 0, ECHO = 1, NO_GO_AHEAD = 3, COM_PORT = 44;
const OPTIONS = [BINARY, ECHO, NO_GO_AHEAD, COM_PORT];

const SET_BAUD = 1, SET_CONTROL = 5;
/** The number of an answer is that of its command plus 100. */
const SERVER = 100;
const [DTR_ON, DTR_OFF, RTS_ON, RTS_OFF] = [8, 9, 11, 12];

/** Parses telnet: bytes of the line, and commands about it. */
class Telnet {
  #state: "data" | "command" | "option" | "sub" | "sub command" = "data";
  #verb = 0;
  #sub: number[] = [];

  constructor(
    readonly option: (verb: number, option: number) => void,
    readonly subnegotiation: (bytes: number[]) => void,
  ) {}

  /** The bytes of the line among these. */
  push(bytes: Uint8Array): Uint8Array {
    const data: number[] = [];
    for (const byte of bytes) {
      switch (this.#state) {
        case "data":
          if (byte === IAC) this.#state = "command";
          else data.push(byte);
          break;
        case "command":
          this.#state = "data";
          if (byte === IAC) data.push(byte);
          else if (byte === SB) {
            this.#sub = [];
            this.#state = "sub";
          } else if (byte >= WILL!) {
            this.#verb = byte;
            this.#state = "option";
          }
          break;
        case "option":
          this.option(this.#verb, byte);
          this.#state = "data";
          break;
        case "sub":
          if (byte === IAC) this.#state = "sub command";
          else this.#sub.push(byte);
          break;
        case "sub command":
          if (byte === IAC) this.#sub.push(byte);
          else if (byte === SE) this.subnegotiation(this.#sub);
          this.#state = byte === SE ? "data" : "sub";
          break;
      }
    }
    return Uint8Array.from(data);
  }
}

/** Doubles what would start a command. */
function escaped(bytes: Iterable<number>): number[] {
  const out: number[] = [];
  for (const byte of bytes) byte === IAC ? out.push(IAC, IAC) : out.push(byte);
  return out;
}

/** Serves a chip's port to one client after the other. */
export class Rfc2217Server implements AsyncDisposable {
  readonly port: number;
  readonly cable: Cable;
  #listener: Deno.TcpListener;
  #serving: Promise<void>;
  #conn: Deno.TcpConn | undefined;

  constructor(readonly chip: Chip) {
    this.cable = new Cable(chip);
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = this.#listener.addr.port;
    this.#serving = this.#serve();
  }

  /** The port's URL for such a program. */
  get url(): string {
    return `rfc2217://127.0.0.1:${this.port}?ign_set_control`;
  }

  async #serve(): Promise<void> {
    for await (const conn of this.#listener) {
      conn.setNoDelay(true);
      this.#conn = conn;
      await this.#talk(conn);
      this.#conn = undefined;
    }
  }

  async #talk(conn: Deno.TcpConn): Promise<void> {
    let sending = Promise.resolve();
    let gone = false;
    const send = (bytes: number[]) => {
      sending = sending.then(async () => {
        const all = Uint8Array.from(bytes);
        try {
          for (let at = 0; at < all.length && !gone;) at += await conn.write(all.subarray(at));
        } catch {
          gone = true; // the client hung up; reading says so, too
        }
      });
    };
    const agreed = new Set<string>();
    const telnet = new Telnet((verb, option) => {
      if (verb === WONT || verb === DONT || agreed.has(`${verb} ${option}`)) return;
      agreed.add(`${verb} ${option}`);
      const ours = OPTIONS.includes(option);
      const answer = verb === WILL ? (ours ? DO! : DONT!) : (ours ? WILL! : WONT!);
      send([IAC, answer, option]);
    }, (bytes) => {
      const [option, command, ...value] = bytes;
      if (option !== COM_PORT || command === undefined) return;
      this.#control(command, value);
      send([IAC, SB, COM_PORT, ...escaped([command + SERVER, ...value]), IAC, SE]);
    });

    this.cable.open(115200, {
      data: (bytes) => send(escaped(bytes)),
      lost: () => conn.close(),
    });
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (let n; (n = await conn.read(buffer)) !== null;) {
        const data = telnet.push(buffer.subarray(0, n));
        if (data.length > 0) this.cable.write(data);
      }
    } catch (error) {
      const expected = [Deno.errors.BadResource, Deno.errors.Interrupted];
      const reset = error instanceof Deno.errors.ConnectionReset;
      if (!reset && !expected.some((type) => error instanceof type)) throw error;
    } finally {
      gone = true;
      this.cable.close();
      await sending;
      try {
        conn.close();
      } catch {
        // closed before
      }
    }
  }

  #control(command: number, value: number[]): void {
    if (command === SET_BAUD && value.length === 4) {
      const rate = new DataView(Uint8Array.from(value).buffer).getUint32(0);
      if (rate > 0) this.cable.baud = rate;
    } else if (command === SET_CONTROL) {
      const [what] = value;
      if (what === DTR_ON || what === DTR_OFF) this.cable.setLines({ dtr: what === DTR_ON });
      if (what === RTS_ON || what === RTS_OFF) this.cable.setLines({ rts: what === RTS_ON });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    try {
      this.#conn?.close();
    } catch {
      // the client was faster
    }
    await this.#serving;
  }
}
