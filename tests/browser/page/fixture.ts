/**
 * The test fixture: the boards, the cables, and the user who picks a port in the browser's list.
 *
 * @module
 */
import type { Page } from "playwright-core";
import { until } from "../../support/wait.ts";
import { Cable, PortError } from "../chip/cable.ts";
import { Chip, type ChipOptions } from "../chip/chip.ts";
import { PATIENCE } from "./chromium.ts";
import { installSerial, type Reply, type Request } from "./serial.ts";

const BINDING = "holdfastTestSerial";

/** A board, its cable, and unread bytes from it. */
interface Place {
  cable: Cable;
  unread: Uint8Array[];
  lost: boolean;
  wake: () => void;
  stopped: boolean;
}

/** The port's information about its USB bridge: a CP2102, as on many boards. */
const INFO = { usbVendorId: 0x10c4, usbProductId: 0xea60 };

export class Fixture {
  #places: Place[] = [];
  #granted = new Set<number>();
  #held = new Map<Request["op"], Promise<void>>();
  /** Ports that the page has open; it must not close those of other programs. */
  #mine = new Set<Place>();
  /** The user's choice in the list of ports: the number of a board, or nothing. */
  choice: number | "cancel" = 0;
  #page: Page | undefined;

  /** Puts a board on the fixture; it is plugged in. */
  add(options: ChipOptions = {}): Chip {
    const chip = new Chip(options);
    const cable = new Cable(chip);
    this.#places.push({ cable, unread: [], lost: false, wake: () => {}, stopped: false });
    return chip;
  }

  cable(board = 0): Cable {
    return this.#places[board]!.cable;
  }

  /**
   * Waits until the page has a board's port open at this speed. The page shows its words before it opens the port:
   * earlier output of the board is lost.
   */
  async isHeardAt(baud: number, board = 0): Promise<void> {
    const cable = this.cable(board);
    await until(() => cable.isOpen && cable.baud === baud, {
      timeout: PATIENCE,
      what: () => `${baud} baud, not ${cable.baud}, on a port that is open: ${cable.isOpen}`,
    });
  }

  /** Installs `navigator.serial` in the page, before it is loaded. */
  async attach(page: Page): Promise<void> {
    this.#page = page;
    await page.exposeBinding(BINDING, (_source, request: Request) => this.#answer(request));
    await page.addInitScript(installSerial, BINDING);
    // A page that is left closes its ports.
    page.on("domcontentloaded", () => this.#closeAll());
    page.on("close", () => this.#closeAll());
  }

  async unplug(board = 0): Promise<void> {
    const told = this.#mine.has(this.#places[board]!); // the callback of an open port tells the page
    this.cable(board).unplug();
    if (!told) await this.#tell(board, false);
  }

  async plug(board = 0): Promise<void> {
    this.cable(board).plug();
    await this.#tell(board, true);
  }

  /** From now on holds the page's requests of this kind; returns a function that releases them. */
  hold(op: Request["op"]): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held.set(op, promise);
    return () => {
      this.#held.delete(op);
      resolve();
    };
  }

  /** Closes whatever is open. */
  [Symbol.dispose](): void {
    this.#closeAll();
  }

  #closeAll(): void {
    for (const place of this.#places) this.#release(place);
  }

  #release(place: Place): void {
    if (this.#mine.delete(place)) place.cable.close();
    place.stopped = true;
    place.wake();
  }

  async #tell(board: number, connected: boolean): Promise<void> {
    const page = this.#page;
    if (page === undefined || page.isClosed()) return;
    try {
      await page.evaluate(([port, connected]) => {
        const { serial } = navigator as unknown as {
          serial: { plugged(port: number, connected: boolean): void };
        };
        serial.plugged(port, connected);
      }, [board, connected] as const);
    } catch (error) {
      if (!page.isClosed()) throw error; // it was closed meanwhile
    }
  }

  async #answer(request: Request): Promise<Reply> {
    await this.#held.get(request.op);
    try {
      return await this.#carryOut(request);
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
      return { error: ["NetworkError", error.message] };
    }
  }

  #carryOut(request: Request): Reply | Promise<Reply> {
    if (request.op === "request") {
      if (this.choice === "cancel" || this.#places[this.choice]?.cable.chip.plugged !== true) {
        return { error: ["NotFoundError", "No port selected by the user."] };
      }
      this.#granted.add(this.choice);
      return { ports: [{ port: this.choice, ...INFO }] };
    }
    if (request.op === "ports") {
      const there = [...this.#granted].filter((port) => this.cable(port).chip.plugged);
      return { ports: there.map((port) => ({ port, ...INFO })) };
    }
    const place = this.#places[request.port]!;
    switch (request.op) {
      case "open":
        return this.#open(request.port, request.baud);
      case "close":
        this.#release(place);
        return {};
      case "signals": {
        const { dtr, rts } = request;
        place.cable.setLines({
          ...(dtr === undefined ? {} : { dtr }),
          ...(rts === undefined ? {} : { rts }),
        });
        return {};
      }
      case "write":
        place.cable.write(Uint8Array.fromBase64(request.base64));
        return {};
      case "read":
        return this.#read(place);
      case "stop reading":
        place.stopped = true;
        place.wake();
        return {};
    }
  }

  #open(port: number, baud: number): Reply {
    const place = this.#places[port]!;
    try {
      place.cable.open(baud, {
        data: (bytes) => {
          place.unread.push(bytes);
          place.wake();
        },
        lost: () => {
          place.lost = true;
          this.#mine.delete(place);
          place.wake();
          void this.#tell(port, false);
        },
      });
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
      return { error: ["NetworkError", "Failed to open serial port."] };
    }
    this.#mine.add(place);
    place.unread = [];
    place.lost = false;
    return {};
  }

  /** Waits for bytes, the end of the cable, or the end of the reading. */
  async #read(place: Place): Promise<Reply> {
    place.stopped = false;
    while (place.unread.length === 0 && !place.lost && !place.stopped) {
      await new Promise<void>((resolve) => place.wake = resolve);
    }
    if (place.unread.length > 0) {
      const bytes = new Uint8Array(await new Blob(place.unread as BlobPart[]).arrayBuffer());
      place.unread = [];
      return { base64: bytes.toBase64() };
    }
    return place.lost ? { error: ["NetworkError", "The device has been lost."] } : {};
  }
}
