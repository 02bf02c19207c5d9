/**
 * An ESP8266 without one: QEMU runs the machine code of the firmware for the target `emulator`, and this is the world around
 * it: power, flash, WiFi, TCP, pins, the serial line and a watchdog.
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

/** Why a chip starts, in the firmware's order. */
const RESETS = ["power-on", "external", "software", "watchdog", "exception", "wake"] as const;
/** Why a chip starts. */
export type Reset = typeof RESETS[number];

const SETTINGS_OFFSET = 0xfa000;
const FLASH_BYTES = 0x100000;
/** So many bytes of flash travel in a frame. */
const FLASH_PIECE = 4096;
const KEPT_WORDS = 127;
/** Bytes of the path of pins that are another program's. */
const MOST_PATH = 120;

/** How a chip is plugged in. */
export interface EmulatorOptions extends ProcessorOptions {
  /** What is in flash, 1 MB at least, which it works with as it is; blank by default. */
  flash?: Uint8Array;
  /** Why it starts; "power-on" by default. */
  reset?: Reset;
  /** The application: its name and its .wasm, or the bytes of its area; none: what is there. */
  application?: { name: string; wasm: Uint8Array } | Uint8Array;
  /** What is in the settings sector, or its bytes; none: what is there. */
  settings?: Settings | Uint8Array;
  /** How many times faster than real the chip's clock goes, 1 to 1000. Default 1. */
  speed?: number;
  /** Milliseconds of the host after which the watchdog bites. Default 20,000. */
  watchdog?: number;
  /** Called when the chip goes to sleep, for this many ms of its own: it wakes when that resolves. Default: when its clock
   * says so. */
  sleep?: (ms: number) => Promise<void>;
  /** Where a connection really goes. Default: where the chip wants it to. */
  route?: (host: string, port: number) => { hostname: string; port: number };
  /** Looks names up. Default: this machine's way. */
  lookup?: (name: string) => Promise<string>;
  /** Called with each line on the serial port, without its end. */
  onLine?: (line: string) => void;
  /** Called with what comes from the serial port. */
  onSerial?: (bytes: Uint8Array) => void;
  /** Called when the application makes a pin an output, or changes its level. */
  onPin?: (pin: number, level: number) => void;
  /** Called with what the application does with `pwm_write`: duty of 1023, and Hz. */
  onPwm?: (pin: number, duty: number, hz: number) => void;
  /** Called when the chip has stopped, for whatever reason, and drives no pin any more. */
  onOff?: () => void;
  /**
   * Its pins are another program's, and not this board's: PATH here, where the FIFOs PATH.from and PATH.to are. For
   * buses, whose every bit has several levels to be read: it answers without a turn of this process's loop.
   */
  pins?: string;
}

/** A chip, from the time that it is plugged in. */
export class Emulator implements AsyncDisposable {
  /** Lines of the serial port since it was plugged in. */
  readonly lines: string[] = [];
  /** What the next joins lead to. */
  wifi: WifiOutcome = "up";
  /** What the next joins at a known access point lead to, if that is something else. */
  wifiKnown: WifiOutcome | undefined;
  /** For how many seconds DHCP gives an address. */
  lease = 86_400;
  /** How often it was asked to join. */
  joins = 0;
  /** What it was asked to join last. */
  join: Join | undefined;
  /** How often it has gone to sleep. */
  sleeps = 0;
  /** Whether it sleeps at present. */
  asleep = false;
  /** How often it has started. */
  boots = 0;
  /** Networks that a scan finds. */
  networks: { ssid: string; rssi: number; locked: boolean }[] = [];
  /** What is in flash: survives everything. */
  readonly flash: Uint8Array;
  /** What survives a reset. */
  readonly kept = new Uint8Array(KEPT_WORDS * 4);
  /** What the emulator said on stderr, if anything. */
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
  /** In ms: it goes to sleep when it ends. */
  #sleep = 0;
  #woken: (() => void) | undefined;

  /** Plugs it in. */
  constructor(options: EmulatorOptions) {
    this.#options = options;
    const { flash, reset, application, settings, pins } = options;
    if (pins !== undefined && new TextEncoder().encode(pins).length > MOST_PATH) {
      throw new LocalError(
        "BAD_ARGUMENT",
        `the chip has room for ${MOST_PATH} bytes, not for ${pins}`,
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

  /** From one boot to the next. */
  async #live(): Promise<void> {
    while (!this.#off) {
      const chip = this.#chip = new Processor(
        this.#options,
        (type, payload) => this.#handle(type, payload),
      );
      this.boots++;
      this.#wake(chip, this.#next);
      this.#next = "exception"; // unless something else is the reason
      this.#wasReset = false;
      this.#feed();
      const code = await chip.ended;
      clearTimeout(this.#watchdog);
      this.complaints += chip.complaints;
      this.#abandon(this.#sleep > 0); // the server is not told that a chip has been reset
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

  /** Until it is over, or a reset ends it. */
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

  /** Drops the connection, without telling either end; `close`: the server sees its end. */
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

  /** The WiFi is gone, and the chip notices; a join finds it again if `wifi` says so. */
  loseWifi(): void {
    this.#abandon(false);
    this.#tellWifi("lost");
  }

  /** Nothing passes on the present connection any more, and neither end is told. */
  blackhole(): void {
    this.#current?.abandon();
  }

  /** Bytes come in on the serial line. */
  type(bytes: Uint8Array | string): void {
    const all = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    for (let at = 0; at < all.length; at += 256) {
      this.#send(frame(ToChip.serial, all.subarray(at, at + 256)));
    }
  }

  /** A pin's level: the application's if it is an output (with PWM, the one it mostly has), else what `setPin` has set, else 1. */
  pin(pin: number): number {
    return this.#outputs.get(pin) ?? this.#inputs.get(pin) ?? 1;
  }

  /** Pulls a pin to a level from outside. */
  setPin(pin: number, level: number): void {
    this.#inputs.set(pin, level);
    this.#send(frame(ToChip.input, pin, level));
  }

  /** Sets the analogue input, 0 to 1023. */
  setAnalogue(value: number): void {
    this.#analogue = value;
    this.#send(frame(ToChip.analogue, u16(value)));
  }

  /** The chip hangs, as in a loop that a bug never leaves; its watchdog will notice. */
  hang(): void {
    this.#send(frame(ToChip.hang));
  }

  /** In a build with MEASURE: the chip says on its console what its memory is used for. */
  measure(): void {
    this.#send(frame(ToChip.measure));
  }

  /** Resets the chip. `keep: false`: what survives a reset does not survive this one. */
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
