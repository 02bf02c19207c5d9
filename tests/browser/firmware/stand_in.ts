/**
 * A stand-in for the firmware, for boards in tests: it reads the settings and the application from the flash, joins the
 * networks of a simulated world, and prints on the serial line what the firmware would print. It does not run the
 * flash's code: its output depends on the settings, and on the application's header and checksum.
 *
 * @module
 */
import { APPLICATION_HEADER, SLOT_BYTES, WASM_MOST } from "../../../bridge/formats/application.ts";
import { crc32 } from "../../../bridge/formats/crc32.ts";
import {
  Command,
  encodeFrame,
  Failure,
  type Frame,
  FrameReader,
  FrameType,
  State,
} from "../../../bridge/formats/improv.ts";
import {
  changeSettings,
  decodeSettings,
  defaults,
  encodeFields,
  encodeSettings,
  missingSettings,
  type Settings,
  Tag,
} from "../../../bridge/formats/settings.ts";
import {
  type Firmware,
  type Hardware,
  type Program,
  type ResetReason,
  ROM_BAUD,
} from "../chip/chip.ts";
import { SECTOR } from "../chip/flash.ts";

/** Addresses in the flash. */
export const APPLICATION = 0xf0000;
export const SETTINGS = 0xfa000;

/** A simulated server. If it has keys, it admits only these devices; if it has `answer`, that decides. */
export interface PretendedServer {
  keys?: Record<string, string>;
  /** Why a device with these settings gets no link; undefined: it gets one. */
  answer?: (settings: Settings) => Promise<string | undefined>;
}

/** A board's surroundings. */
export interface World {
  /** WiFi networks, with their passwords; "" for an open one. */
  networks: Record<string, string>;
  /** Servers by `name:port`. */
  servers: Record<string, PretendedServer>;
  /**
   * The settings from a Pyboard on the board's wires. Null: none yet, or no Pyboard. Undefined: firmware with its
   * settings in the flash.
   */
  pyboard?: Settings | null;
  /** How long the board takes to join, to connect, and before it tries again, in ms. */
  pace?: number;
  /** Whether it can scan for networks; default: yes. */
  scans?: boolean;
  /** Resets the board for this reason this many ms after each start. */
  fails?: { reason: ResetReason; after: number } | undefined;
}

/** The vendor's output before it runs the firmware. */
const VENDOR = "boot not set\r\n ota1 not set\r\n ota2 not set\r\n Mo\r\n" +
  "phy_version: 1156.0, 635e6fc, Feb 20 2020, 16:18:08, NONOS\r\n" +
  "rf cal sector: 1019\r\n freq trace enable 0\r\n rf[112] : 00\r\n rf[113] : 00\r\n rf[114] : 01\r\n" +
  "\r\nSDK ver: 3.0.6-dev(072755c) compiled @ Apr  6 2023 03:06:03\r\nphy ver: 1156_0, pp ver: 10.2\r\n\r\n";

const encoder = new TextEncoder();

/** Spaces, controls and % as %20 …, so that a value is one word. */
function word(text: string): string {
  const escape = (c: string) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
  return [...text].map((c) => c <= " " || c === "%" || c === "\x7f" ? escape(c) : c).join("");
}

/** The stand-in in this world, which may change while it runs. */
export function firmwareIn(world: World): Firmware {
  return (board) => new Running(board, world);
}

class Running implements Program {
  readonly baud = 115200;
  readonly #board: Hardware;
  readonly #world: World;
  readonly #frames = new FrameReader();
  readonly #settings: Settings;
  #state: number = State.ready;

  constructor(board: Hardware, world: World) {
    this.#board = board;
    this.#world = world;
    board.print(VENDOR, ROM_BAUD);
    this.#say(`boot version=0.1.0 board=nonos reset=${board.reason} heap=31240`);
    if (board.reason === "exception") this.#say("crash cause=28 at=40214b12 address=00000004");
    const { fails } = world;
    if (fails) board.after(fails.after, () => board.restart(fails.reason));
    const sector = decodeSettings(board.flash.read(SETTINGS, SECTOR)!);
    this.#settings = sector.state === "ok" ? sector.settings : {};
    if (world.pyboard !== undefined) {
      if (sector.state === "damaged") {
        this.#say(`settings damaged (${sector.damage}): waiting for settings`);
      }
      this.#say("application name=pyboard in=firmware");
      this.#log("initiator link waiting");
      this.#listen();
      return;
    }
    const usable = sector.state === "ok" && missingSettings(sector.settings).length === 0;
    if (usable) {
      this.#sayValues();
    } else {
      const what = sector.state === "damaged"
        ? `damaged (${sector.damage})`
        : sector.state === "blank"
        ? "blank"
        : "incomplete";
      this.#say(`settings ${what}: waiting for settings`);
    }
    const application = this.#application();
    this.#say(`application ${application.says}`);
    if (usable && application.runs) this.#join();
  }

  get #server(): string {
    return `${this.#settings.server}:${this.#settings.port ?? defaults.port}`;
  }

  #say(text: string): void {
    this.#board.print(`holdfast: ${text}\r\n`);
  }

  #log(text: string): void {
    this.#board.print(`app: ${text}\r\n`);
  }

  #sayValues(): void {
    const { id, ssid = "", key } = this.#settings;
    const known = `id=${word(id!)} server=${this.#server} ssid=${word(ssid)}`;
    this.#say(`settings ${known} key=${key ? "yes" : "no"}`);
  }

  /** Waits for the Pyboard, whose settings override stored ones; a password belongs to its network. */
  #listen(): void {
    const { pyboard } = this.#world;
    if (!pyboard) return this.#later(() => this.#listen());
    if (pyboard.ssid !== undefined) delete this.#settings.password;
    Object.assign(this.#settings, pyboard);
    this.#log("initiator link up");
    this.#log("initiator configured");
    this.#sayValues();
    if (this.#settings.ssid !== undefined) this.#join();
  }

  #later(what: () => void): void {
    this.#board.after(this.#world.pace ?? 20, what);
  }

  #application(): { says: string; runs: boolean } {
    const slot = this.#board.flash.read(APPLICATION, SLOT_BYTES)!;
    const view = new DataView(slot.buffer);
    const damaged = (damage: string) => ({ says: `damaged (${damage})`, runs: false });
    if (view.getUint32(0, true) === 0xffffffff) return { says: "missing", runs: false };
    if (new TextDecoder().decode(slot.subarray(0, 4)) !== "HFAP") return damaged("magic");
    const length = view.getUint32(8, true);
    if (length === 0 || length > WASM_MOST) return damaged("length");
    const wasm = slot.subarray(APPLICATION_HEADER, APPLICATION_HEADER + length);
    if (view.getUint32(12, true) !== crc32(wasm)) return damaged("checksum");
    const name = new TextDecoder().decode(slot.subarray(16, 48)).replace(/\0.*$/, "");
    return { says: `name=${word(name)} bytes=${length}`, runs: true };
  }

  #join(): void {
    const { ssid, password = "" } = this.#settings;
    this.#state = State.joining;
    this.#say(`wifi joining ssid=${word(ssid!)}`);
    this.#later(() => {
      const expected = this.#world.networks[ssid!];
      if (expected === password) {
        this.#state = State.joined;
        this.#say("wifi up ip=192.168.1.31");
        return this.#connect();
      }
      this.#say(`wifi down reason=${expected === undefined ? "not-found" : "wrong-password"}`);
      this.#later(() => this.#join());
    });
  }

  #connect(): void {
    const { id, key } = this.#settings;
    this.#say(`link connecting server=${this.#server}`);
    this.#later(() => {
      const server = this.#world.servers[this.#server];
      if (server?.answer) return this.#ask(server.answer);
      this.#answered(server === undefined ? "NO_ANSWER" : refusal(server.keys, id!, key));
    });
  }

  #answered(reason: string | undefined): void {
    if (reason === undefined) {
      this.#say("link up connects=1");
      if (this.#world.pyboard === undefined) this.#log("hello from the application");
      return;
    }
    this.#say(`link down reason=${reason}`);
    this.#later(() => this.#connect());
  }

  /** Asks a slow server; the chip checks again and again, because it only knows the time. */
  #ask(answer: NonNullable<PretendedServer["answer"]>): void {
    const answers: (string | undefined)[] = [];
    void answer(this.#settings).then((reason) => answers.push(reason));
    const look = () => answers.length === 0 ? this.#later(look) : this.#answered(answers[0]);
    look();
  }

  receive(bytes: Uint8Array): void {
    for (const frame of this.#frames.push(bytes).frames) {
      if (frame.type === FrameType.command) this.#command(frame);
    }
  }

  #send(type: number, data: Uint8Array | number[]): void {
    this.#board.print(encodeFrame({ type, data: Uint8Array.from(data) }));
  }

  #result(command: number, data: Iterable<number>): void {
    const bytes = [...data];
    this.#send(FrameType.result, [command, bytes.length, ...bytes]);
  }

  #texts(command: number, ...texts: string[]): void {
    this.#result(
      command,
      texts.flatMap((text) => [encoder.encode(text).length, ...encoder.encode(text)]),
    );
  }

  #fail(failure: number): void {
    this.#send(FrameType.error, [failure]);
  }

  #command({ data: [command, length, ...rest] }: Frame): void {
    if (command === undefined || length !== rest.length) return this.#fail(Failure.invalid);
    switch (command) {
      case Command.wifi: {
        const ssid = rest.slice(1, 1 + rest[0]!);
        const password = rest.slice(2 + ssid.length);
        const fields = [Tag.ssid, ssid.length, ...ssid, Tag.password, password.length, ...password];
        return this.#change(command, fields);
      }
      case Command.state:
        this.#send(FrameType.state, [this.#state]);
        if (this.#state === State.joined) this.#texts(command);
        return;
      case Command.info:
        return this.#texts(command, "Holdfast", "0.1.0", "ESP8266", "nonos");
      case Command.scan:
        if (this.#world.scans === false) return this.#fail(Failure.unknown);
        for (const [ssid, password] of Object.entries(this.#world.networks)) {
          this.#texts(command, ssid, "-61", password === "" ? "NO" : "YES");
        }
        return this.#texts(command);
      case Command.set:
        return this.#change(command, rest);
      case Command.get: {
        const { password: _, key, ...open } = this.#settings;
        return this.#result(command, [...encodeFields(open), ...(key ? [Tag.key, 0] : [])]);
      }
      default:
        return this.#fail(Failure.unknownCommand);
    }
  }

  /** Writes the changed settings, and restarts with them. */
  #change(command: number, fields: number[]): void {
    let sector: Uint8Array;
    try {
      sector = encodeSettings(changeSettings(this.#settings, Uint8Array.from(fields)));
    } catch {
      return this.#fail(Failure.invalid);
    }
    this.#board.flash.eraseSectors(SETTINGS / SECTOR, 1);
    this.#board.flash.program(SETTINGS, sector);
    this.#fail(Failure.none);
    this.#texts(command);
    this.#later(() => {
      this.#say("settings changed: restarting");
      this.#board.restart();
    });
  }
}

/**
 * Why there is no link between a server and a device; undefined: there is one. The server proves itself first, so a
 * device with another key leaves before the server can refuse it.
 */
function refusal(
  keys: Record<string, string> | undefined,
  id: string,
  key: Uint8Array | undefined,
): string | undefined {
  if (keys === undefined) return undefined;
  const expected = keys[id];
  if (expected === undefined) return `REFUSED code=${key === undefined ? "01" : "04"}`;
  if (key === undefined) return "REFUSED code=03";
  return key.toHex() === expected ? undefined : "BAD_PROOF";
}
