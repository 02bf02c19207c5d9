/**
 * Asks a board that runs firmware with Improv-Serial (improv-wifi.com/serial): what it is, which networks it receives,
 * and to join one. Ours takes other settings as well.
 *
 * @module
 */
import {
  Command,
  decodeFieldsRead,
  decodeResult,
  decodeTexts,
  encodeChanges,
  encodeCommand,
  encodeWifi,
  Failure,
  type Frame,
  FrameType,
} from "../../formats/improv.ts";
import type { Settings } from "../../formats/settings.ts";
import { FlashError } from "../chip/errors.ts";

export interface DeviceInfo {
  firmware: string;
  version: string;
  chip: string;
  name: string;
}

export interface Network {
  ssid: string;
  /** In dBm: -40 is near, -85 far. */
  strength: number;
  /** Whether it wants a password. */
  secure: boolean;
}

/** How long a board may take for an answer, in ms. */
const SOON = 3000;
const SCANNING = 20_000;
/** Some firmware answers when it has joined, or has given up. */
const JOINING = 60_000;

/** One request at a time. Every method throws FlashError: NO_IMPROV, or WIFI_REFUSED with the reason. */
export class ImprovClient {
  readonly #send: (bytes: Uint8Array) => Promise<void>;
  #take: (frame: Frame) => void = () => {};

  constructor(send: (bytes: Uint8Array) => Promise<void>) {
    this.#send = send;
  }

  /** Takes a frame from the board. */
  receive(frame: Frame): void {
    this.#take(frame);
  }

  async info(): Promise<DeviceInfo> {
    const [data] = await this.#ask(Command.info, encodeCommand(Command.info), SOON);
    const [firmware = "", version = "", chip = "", name = ""] = decodeTexts(data!) ?? [];
    return { firmware, version, chip, name };
  }

  /** The networks that the board receives, the strongest first, each once. */
  async networks(): Promise<Network[]> {
    const last = (data: Uint8Array) => data.length === 0;
    const answers = await this.#ask(Command.scan, encodeCommand(Command.scan), SCANNING, last);
    const networks = new Map<string, Network>();
    for (const data of answers) {
      const [ssid, strength, secure] = decodeTexts(data) ?? [];
      if (!ssid) continue;
      const network = { ssid, strength: Number(strength), secure: secure !== "NO" };
      if (!(networks.get(ssid)?.strength! >= network.strength)) networks.set(ssid, network);
    }
    return [...networks.values()].sort((a, b) => b.strength - a.strength);
  }

  /** Its settings without secrets; undefined for firmware that is not ours. */
  async settings(): Promise<{ settings: Settings; key: boolean } | undefined> {
    try {
      const [data] = await this.#ask(Command.get, encodeCommand(Command.get), SOON);
      return decodeFieldsRead(data!);
    } catch (error) {
      // It answers that it does not know the command, or does not answer.
      const other = error instanceof FlashError && error.code !== "LOST";
      if (other) return undefined;
      throw error;
    }
  }

  /** Joins a network; the board keeps its other settings. */
  async join(ssid: string, password: string): Promise<void> {
    await this.#ask(Command.wifi, encodeWifi(ssid, password), JOINING);
  }

  /** Changes other settings, and the board restarts. */
  async change(changes: Parameters<typeof encodeChanges>[0]): Promise<void> {
    for (const [index, frame] of encodeChanges(changes).entries()) {
      try {
        await this.#ask(Command.set, frame, SOON);
      } catch (error) {
        // It restarts after each, and misses what is sent meanwhile.
        const isDeaf = error instanceof FlashError && error.code === "NO_IMPROV";
        if (index === 0 || !isDeaf) throw error;
        await this.#ask(Command.set, frame, SOON);
      }
    }
  }

  /** Sends a command, and waits for its answer, or for all of them up to the `last`. */
  async #ask(
    command: number,
    bytes: Uint8Array,
    patience: number,
    last: (data: Uint8Array) => boolean = () => true,
  ): Promise<Uint8Array[]> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array[]>();
    const answers: Uint8Array[] = [];
    this.#take = (frame) => {
      const failure = frame.type === FrameType.error ? frame.data[0] : undefined;
      if (failure) reject(new FlashError("WIFI_REFUSED", REASONS[failure] ?? `code ${failure}`));
      const result = decodeResult(frame);
      if (result?.command !== command) return;
      answers.push(result.data.slice());
      if (last(result.data)) resolve(answers);
    };
    const timer = setTimeout(
      () => reject(new FlashError("NO_IMPROV", "the board’s program does not answer")),
      patience,
    );
    try {
      await this.#send(bytes);
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#take = () => {};
    }
  }
}

const REASONS: Record<number, string> = {
  [Failure.invalid]: "the board did not understand what it was sent",
  [Failure.unknownCommand]: "the board’s firmware does not know this command",
  [Failure.notJoined]: "the board could not join the network",
  [Failure.unknown]: "the board could not store it",
};
