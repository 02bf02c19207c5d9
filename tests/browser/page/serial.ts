/**
 * `navigator.serial` for a page in a test: its requests go to {@linkcode Fixture} in the test. Behaves
 * as Chrome's does where a page can tell: streams that fail with NetworkError when the cable comes off, a
 * port that cannot be closed while a stream is locked, a rejected choice.
 *
 * {@linkcode installSerial} is run in the page, from its source: it must not refer to anything outside it.
 *
 * @module
 */

/** A request of the page. */
export type Request =
  | { op: "request" }
  | { op: "ports" }
  | { op: "open"; port: number; baud: number }
  | { op: "close" | "read" | "stop reading"; port: number }
  | { op: "write"; port: number; base64: string }
  | { op: "signals"; port: number; dtr?: boolean; rts?: boolean };

/** The reply. */
export interface Reply {
  /** Name and message of a DOMException. */
  error?: [name: string, message: string];
  ports?: { port: number; usbVendorId: number; usbProductId: number }[];
  /** Bytes read; absent: the stream has ended. */
  base64?: string;
}

/** Puts it into the page. `binding` is the name of the function that carries requests to the test. */
export function installSerial(binding: string): void {
  type Scope = Record<string, (request: Request) => Promise<Reply>>;
  const ask = async (request: Request): Promise<Reply> => {
    const reply = await (globalThis as unknown as Scope)[binding]!(request);
    if (reply.error) throw new DOMException(reply.error[1], reply.error[0]);
    return reply;
  };
  const fromBase64 = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const toBase64 = (bytes: Uint8Array) => {
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
  };

  class Port extends EventTarget {
    #open = false;
    #readable: ReadableStream<Uint8Array> | null = null;
    #writable: WritableStream<Uint8Array> | null = null;
    connected = true;

    constructor(
      readonly number: number,
      readonly info: { usbVendorId: number; usbProductId: number },
    ) {
      super();
    }

    getInfo() {
      return this.info;
    }

    async open({ baudRate }: { baudRate: number }): Promise<void> {
      if (this.#open) throw new DOMException("The port is already open.", "InvalidStateError");
      await ask({ op: "open", port: this.number, baud: baudRate });
      this.#open = true;
    }

    get readable(): ReadableStream<Uint8Array> | null {
      if (!this.#open || !this.connected) return null;
      this.#readable ??= new ReadableStream<Uint8Array>({
        pull: async (controller) => {
          try {
            const { base64 } = await ask({ op: "read", port: this.number });
            if (base64 === undefined) return controller.close();
            controller.enqueue(fromBase64(base64));
          } catch (error) {
            this.#readable = null;
            controller.error(error);
          }
        },
        cancel: async () => {
          this.#readable = null;
          await ask({ op: "stop reading", port: this.number });
        },
      }, { highWaterMark: 0 });
      return this.#readable;
    }

    get writable(): WritableStream<Uint8Array> | null {
      if (!this.#open || !this.connected) return null;
      this.#writable ??= new WritableStream<Uint8Array>({
        write: async (bytes) => {
          await ask({ op: "write", port: this.number, base64: toBase64(bytes) });
        },
        close: () => void (this.#writable = null),
        abort: () => void (this.#writable = null),
      });
      return this.#writable;
    }

    async setSignals(
      signals: { dataTerminalReady?: boolean; requestToSend?: boolean },
    ): Promise<void> {
      if (!this.#open) throw new DOMException("The port is closed.", "InvalidStateError");
      const request: Request = { op: "signals", port: this.number };
      if (signals.dataTerminalReady !== undefined) request.dtr = signals.dataTerminalReady;
      if (signals.requestToSend !== undefined) request.rts = signals.requestToSend;
      await ask(request);
    }

    async close(): Promise<void> {
      if (!this.#open) throw new DOMException("The port is already closed.", "InvalidStateError");
      await this.#readable?.cancel(); // rejects if it is locked, as the real one does
      await this.#writable?.abort();
      this.#open = false;
      this.#readable = this.#writable = null;
      await ask({ op: "close", port: this.number });
    }

    async forget(): Promise<void> {
      ports.delete(this.number);
      if (this.#open) await this.close();
    }

    /** The test plugs the cable in or pulls it out. */
    plugged(connected: boolean): void {
      this.connected = connected;
      // A port that was open when the cable came off stays useless until it is closed and reopened.
      const type = connected ? "connect" : "disconnect";
      this.dispatchEvent(new Event(type, { bubbles: true }));
      const event = new Event(type);
      Object.defineProperty(event, "target", { value: this });
      serial.dispatchEvent(event);
    }
  }

  const ports = new Map<number, Port>();
  const portOf = ({ port, ...info }: NonNullable<Reply["ports"]>[number]) => {
    if (!ports.has(port)) ports.set(port, new Port(port, info));
    return ports.get(port)!;
  };

  class Serial extends EventTarget {
    async requestPort() {
      // Chrome requires a recent click or key press.
      const { userActivation } = navigator as unknown as { userActivation: { isActive: boolean } };
      if (!userActivation.isActive) {
        throw new DOMException(
          "Must be handling a user gesture to show a permission request.",
          "SecurityError",
        );
      }
      const { ports } = await ask({ op: "request" });
      return portOf(ports![0]!);
    }

    async getPorts() {
      const { ports } = await ask({ op: "ports" });
      return ports!.map(portOf);
    }

    /** For the test. */
    plugged(port: number, connected: boolean): void {
      ports.get(port)?.plugged(connected);
    }
  }

  const serial = new Serial();
  Object.defineProperty(navigator, "serial", { value: serial, configurable: true });
}
