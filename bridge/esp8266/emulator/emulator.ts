/**
 * An emulated ESP8266: QEMU runs the machine code of the firmware for the target `emulator`, and this is the world
 * around it: power, flash, WiFi, TCP, pins, the serial line and a watchdog.
 *
 * @module
 */
import { LocalError } from "../../../server/protocol/errors.ts";
import { APPLICATION_OFFSET, encodeApplication } from "../../formats/application.ts";
import { encodeSettings, type Settings } from "../../formats/settings.ts";
import { TcpConnection } from "./tcp.ts";
import { addressAfter, type Join, type Known, readJoin, WIFI, type WifiOutcome } from "./wifi.ts";

export type { Join, Known, WifiOutcome };
import { lookup } from "node:dns/promises";
import { frame, FromChip, ToChip, u16, u32 } from "./frames.ts";
import { Processor, type ProcessorOptions } from "./processor.ts";

/** Reasons why a chip starts, in the firmware's order. */
const RESETS = ["power-on", "external", "software", "watchdog", "exception", "wake"] as const;
/** Why a chip starts. */
export type Reset = typeof RESETS[number];

const SETTINGS_OFFSET = 0xfa000;
const FLASH_BYTES = 0x100000;
/** Bytes of flash in a frame. */
const FLASH_PIECE = 4096;
const KEPT_WORDS = 127;
/** Most bytes of the path in `EmulatorOptions.pins`. */
const MOST_PATH = 120;

/** A chip's contents and surroundings. */
export interface EmulatorOptions extends ProcessorOptions {
  /** The contents of flash, at least 1 MB, which the chip changes in place; blank by default. */
  flash?: Uint8Array;
  /** Why it starts; "power-on" by default. */
  reset?: Reset;
  /** The application: its name and its .wasm, or the bytes of its area. Default: the one in `flash`. */
  application?: { name: string; wasm: Uint8Array } | Uint8Array;
  /** The settings, or the bytes of their sector. Default: those in `flash`. */
  settings?: Settings | Uint8Array;
  /** How many times faster than real time the chip's clock runs, 1 to 1000. Default 1. */
  speed?: number;
  /** The watchdog's time, in ms of the host. Default 20,000. */
  watchdog?: number;
  /** Called when the chip goes to sleep, for this many ms of its own clock: it wakes when the promise resolves.
   * Default: after that time. */
  sleep?: (ms: number) => Promise<void>;
  /** The real address for a connection. Default: the address that the chip asks for. */
  route?: (host: string, port: number) => { hostname: string; port: number };
  /** Looks up a name. Default: with this machine's resolver. */
  lookup?: (name: string) => Promise<string>;
  /** Called with each line on the serial port, without its end. */
  onLine?: (line: string) => void;
  /** Called with bytes from the serial port. */
  onSerial?: (bytes: Uint8Array) => void;
  /** Called when the application makes a pin an output, or changes its level. */
  onPin?: (pin: number, level: number) => void;
  /** Called when the application calls `pwm_write`: with the duty, 0 to 1023, and Hz. */
  onPwm?: (pin: number, duty: number, hz: number) => void;
  /** Called when the chip has stopped for any reason, and drives no pin any more. */
  onOff?: () => void;
  /**
   * The path of another program that plays the pins: the FIFOs are PATH.from and PATH.to. This is for buses, which read
   * several levels for each bit: that program answers without a turn of this process's event loop.
   */
  pins?: string;
}

/** A chip, from the moment it is plugged in. */
export class Emulator implements AsyncDisposable {
  /** Lines of the serial port since it was plugged in. */
  readonly lines: string[] = [];
  /** The outcome of the next joins. */
  wifi: WifiOutcome = "up";
  /** The outcome of the next joins at a known access point. Default: `wifi`. */
  wifiKnown: WifiOutcome | undefined;
  /** DHCP's lease time, in s. */
  lease = 86_400;
  /** How often it was asked to join. */
  joins = 0;
  /** The last WiFi that it was asked to join. */
  join: Join | undefined;
  /** How often it has gone to sleep. */
  sleeps = 0;
  /** Whether it sleeps at present. */
  asleep = false;
  /** How often it has started. */
  boots = 0;
  /** Networks that a scan finds. */
  networks: { ssid: string; rssi: number; locked: boolean }[] = [];
  /** Contents of the flash: they survive everything. */
  readonly flash: Uint8Array;
  /** Memory that survives a reset. */
  readonly kept = new Uint8Array(KEPT_WORDS * 4);
  /** The emulator's output on stderr. */
  complaints = "";
  readonly #options: EmulatorOptions;
  #outputs = new Map<number, number>();
  #lines = new Map<number, number>();
  #inputs = new Map<number, number>();
  #analogue = 0;
  #text = "";
  #chip: Processor | undefined;
  #off = false;
  #connections = new Set<TcpConnection>();
  #current: TcpConnection | undefined;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void>;
  #failed: Error | undefined;
  #next: Reset;
  #wasReset = false;
  /** How long it sleeps when it ends, in ms; 0: it does not. */
  #sleep = 0;
  #woken: (() => void) | undefined;

  /** Plugs it in. */
  constructor(options: EmulatorOptions) {
    this.#options = options;
    const { flash, reset, application, settings, pins } = options;
    if (pins !== undefined && new TextEncoder().encode(pins).length > MOST_PATH) {
      throw new LocalError(
        "BAD_ARGUMENT",
        `the path of pins must have at most ${MOST_PATH} bytes: ${pins}`,
      );
    }
    this.flash = flash ?? new Uint8Array(FLASH_BYTES).fill(0xff);
    this.#next = reset ?? "power-on";
    if (application) {
      const area = application instanceof Uint8Array
        ? application
        : encodeApplication(application.name, application.wasm);
      this.flash.set(area, APPLICATION_OFFSET);
    }
    if (settings) {
      const sector = settings instanceof Uint8Array ? settings : encodeSettings(settings);
      this.flash.set(sector, SETTINGS_OFFSET);
    }
    crypto.getRandomValues(this.kept);
    this.#running = this.#live();
  }

  /** Runs the chip from one boot to the next. */
  async #live(): Promise<void> {
    while (!this.#off) {
      const chip = this.#chip = new Processor(
        this.#options,
        (type, payload) => this.#handle(type, payload),
      );
      this.boots++;
      this.#wake(chip, this.#next);
      this.#next = "exception"; // unless another reason is set
      this.#wasReset = false;
      this.#feed();
      const code = await chip.ended;
      clearTimeout(this.#watchdog);
      this.complaints += chip.complaints;
      this.#abandon(this.#sleep > 0); // the server does not see a reset
      this.#outputs.clear();
      this.#lines.clear();
      this.#options.onOff?.();
      if (code !== 0 && !this.#off && this.#next === "exception" && !this.#wasReset) {
        this.#failed = new Error(`the emulated chip ended with ${code}: ${this.complaints}`);
        return;
      }
      if (this.#sleep > 0 && !this.#off) await this.#sleepFor(this.#sleep);
    }
  }

  /** Waits until the sleep is over, or a reset ends it. */
  async #sleepFor(ms: number): Promise<void> {
    const { speed = 1, sleep } = this.#options;
    const reset = Promise.withResolvers<void>();
    this.#woken = reset.resolve;
    this.#sleep = 0;
    this.#next = "wake"; // unless it is reset meanwhile
    this.asleep = true;
    this.sleeps++;
    const timer = sleep ? undefined : setTimeout(reset.resolve, ms / speed);
    await Promise.race(sleep ? [sleep(ms), reset.promise] : [reset.promise]);
    clearTimeout(timer);
    this.#woken = undefined;
    this.asleep = false;
  }

  #wake(chip: Processor, reason: Reset): void {
    const { speed = 1, pins } = this.#options;
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]! | 1;
    chip.send(frame(ToChip.wake, RESETS.indexOf(reason), u16(speed), u32(seed), this.kept));
    if (pins) chip.send(frame(ToChip.pins, new TextEncoder().encode(`${pins}\0`)));
    for (const [pin, level] of this.#inputs) chip.send(frame(ToChip.input, pin, level));
    chip.send(frame(ToChip.analogue, u16(this.#analogue)));
    for (
      const [from, end] of [[APPLICATION_OFFSET, SETTINGS_OFFSET], [
        SETTINGS_OFFSET,
        SETTINGS_OFFSET + 4096,
      ]]
    ) {
      for (let at = from!; at < end!; at += FLASH_PIECE) {
        chip.send(
          frame(ToChip.flash, u32(at), this.flash.subarray(at, Math.min(at + FLASH_PIECE, end!))),
        );
      }
    }
    chip.send(frame(ToChip.flash));
  }

  #handle(type: string, payload: Uint8Array): void {
    switch (type) {
      case FromChip.tcpOpen:
        return this.#open(payload);
      case FromChip.tcpClose:
      case FromChip.tcpData:
      case FromChip.tcpTaken:
        if (payload[0] === this.#current?.number) this.#current?.handle(type, payload);
        return;
      case FromChip.serial:
        return this.#serial(payload);
      case FromChip.wifiJoin:
        this.joins++;
        this.join = readJoin(payload);
        return this.#tellWifi(this.join.known ? this.wifiKnown ?? this.wifi : this.wifi);
      case FromChip.wifiLeave:
        return this.#abandon(false);
      case FromChip.wifiScan:
        for (const { ssid, rssi, locked } of this.networks) {
          const name = new TextEncoder().encode(`${ssid}\0`);
          this.#send(frame(ToChip.found, rssi & 255, locked ? 1 : 0, name));
        }
        return this.#send(frame(ToChip.found));
      case FromChip.pin:
        return this.#pinChanged(payload[0]!, payload[1]!, payload[2]!);
      case FromChip.pwm: {
        const view = new DataView(payload.buffer, payload.byteOffset);
        const [pin, duty] = [payload[0]!, view.getUint16(1, true)];
        this.#outputs.set(pin, duty > 511 ? 1 : 0);
        this.#options.onPwm?.(pin, duty, view.getUint16(3, true));
        return;
      }
      case FromChip.lineRead:
        return this.#send(frame(ToChip.lineLevel, this.#lineLevel(payload[0]!)));
      case FromChip.kept:
        return this.kept.set(payload.subarray(1), payload[0]! * 4);
      case FromChip.feed:
        return this.#feed();
      case FromChip.erase:
        return void this.flash.fill(0xff, word(payload), word(payload) + 4096);
      case FromChip.write:
        for (let i = 4; i < payload.length; i++) this.flash[word(payload) + i - 4]! &= payload[i]!;
        return;
      case FromChip.restart:
        this.#next = "software";
        return;
      case FromChip.sleep:
        this.#sleep = word(payload);
        return;
      case FromChip.crash: {
        const hex = [0, 4, 8].map((at) => "0x" + word(payload.subarray(at)).toString(16));
        this.complaints += `exception ${hex[0]} at ${hex[1]}, address ${hex[2]}\n`;
        return;
      }
    }
  }

  #send(bytes: Uint8Array): void {
    this.#chip?.send(bytes);
  }

  #open(payload: Uint8Array): void {
    const host = new TextDecoder().decode(payload.subarray(3));
    const port = payload[1]! + (payload[2]! << 8);
    const { route = (hostname: string, port: number) => ({ hostname, port }) } = this.#options;
    const connection = new TcpConnection(
      payload[0]!,
      route(host, port),
      (bytes) => this.#send(bytes),
      this.#options.lookup ?? (async (name) => (await lookup(name)).address),
    );
    this.#connections.add(connection);
    connection.ended.then(() => this.#connections.delete(connection));
    this.#current = connection;
  }

  /** Drops the connection, without telling either end. `close`: the server sees that it is closed. */
  #abandon(close: boolean): void {
    this.#current = undefined;
    for (const connection of this.#connections) {
      if (close) connection.close();
      else connection.abandon();
    }
  }

  #serial(bytes: Uint8Array): void {
    this.#options.onSerial?.(bytes);
    this.#text += new TextDecoder("latin1").decode(bytes);
    for (let end; (end = this.#text.indexOf("\n")) >= 0;) {
      const latin1 = Uint8Array.from(this.#text.slice(0, end), (c) => c.charCodeAt(0));
      const line = new TextDecoder().decode(latin1).replace(/\r$/, "");
      this.#text = this.#text.slice(end + 1);
      this.lines.push(line);
      this.#options.onLine?.(line);
    }
  }

  #pinChanged(pin: number, mode: number, level: number): void {
    if (mode === 2) this.#lines.set(pin, level);
    else if (mode === 1) this.#outputs.set(pin, level);
    this.#options.onPin?.(pin, level);
  }

  #lineLevel(pin: number): number {
    const own = this.#lines.get(pin) ?? 1;
    return own & (this.#inputs.get(pin) ?? 1);
  }

  #feed(): void {
    clearTimeout(this.#watchdog);
    const { watchdog = 20_000 } = this.#options;
    this.#watchdog = setTimeout(() => this.reset("watchdog"), watchdog);
  }

  #tellWifi(outcome: WifiOutcome | "lost"): void {
    if (outcome === "silent") return;
    const address = addressAfter(this.join, this.lease);
    this.#send(frame(ToChip.wifi, WIFI.indexOf(outcome), address));
  }

  /** Takes the WiFi away, which the chip notices. `wifi` decides about the next join. */
  loseWifi(): void {
    this.#abandon(false);
    this.#tellWifi("lost");
  }

  /** Lets nothing pass on the present connection any more, without telling either end. */
  blackhole(): void {
    this.#current?.abandon();
  }

  /** Sends bytes to the chip's serial line. */
  type(bytes: Uint8Array | string): void {
    const all = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    for (let at = 0; at < all.length; at += 256) {
      this.#send(frame(ToChip.serial, all.subarray(at, at + 256)));
    }
  }

  /** A pin's level: the application's if it is an output (with PWM, the more frequent one), else that of `setPin`, else 1. */
  pin(pin: number): number {
    return this.#outputs.get(pin) ?? this.#inputs.get(pin) ?? 1;
  }

  /** Sets the level of a pin from outside. */
  setPin(pin: number, level: number): void {
    this.#inputs.set(pin, level);
    this.#send(frame(ToChip.input, pin, level));
  }

  /** Sets the analogue input, 0 to 1023. */
  setAnalogue(value: number): void {
    this.#analogue = value;
    this.#send(frame(ToChip.analogue, u16(value)));
  }

  /** Makes the chip hang, as in an endless loop; its watchdog will notice. */
  hang(): void {
    this.#send(frame(ToChip.hang));
  }

  /** In a build with MEASURE: makes the chip print its use of memory on its console. */
  measure(): void {
    this.#send(frame(ToChip.measure));
  }

  /** Resets the chip. `keep: false`: even the memory that survives resets is lost. */
  reset(reason: Reset, { keep = true } = {}): void {
    if (!keep || reason === "power-on") crypto.getRandomValues(this.kept);
    this.#next = reason;
    this.#wasReset = true;
    this.#sleep = 0;
    this.#chip?.kill();
    this.#woken?.();
  }

  /** Throws if the chip has ended by itself. */
  check(): void {
    if (this.#failed) throw this.#failed;
  }

  /** Pulls the plug. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#off = true;
    clearTimeout(this.#watchdog);
    this.#chip?.kill();
    this.#woken?.();
    await this.#running;
    const connections = [...this.#connections];
    this.#abandon(true);
    await Promise.all(connections.map((connection) => connection.ended));
  }
}

function word(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
}
