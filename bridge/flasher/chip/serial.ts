/** The part of Web Serial that the page uses. Neither Deno's types nor TypeScript's know it. */

export interface Signals {
  dataTerminalReady?: boolean;
  requestToSend?: boolean;
  break?: boolean;
}

/** What the browser knows about a USB adapter. */
export interface PortInfo {
  usbVendorId?: number;
  usbProductId?: number;
}

export interface Port extends EventTarget {
  readonly readable: ReadableStream<Uint8Array> | null;
  readonly writable: WritableStream<Uint8Array> | null;
  getInfo(): PortInfo;
  open(options: { baudRate: number; bufferSize?: number }): Promise<void>;
  close(): Promise<void>;
  setSignals(signals: Signals): Promise<void>;
}

export interface Serial extends EventTarget {
  /** Opens the browser's list of ports. Rejects with NotFoundError if the user picks none. */
  requestPort(options?: { filters?: PortInfo[] }): Promise<Port>;
  /** The ports that the user has picked before and that are plugged in. */
  getPorts(): Promise<Port[]>;
}

/** Why this browser cannot reach a board; undefined: it can. Checks for the feature, not for a browser's name. */
export function obstacle(
  scope: { isSecureContext: boolean; navigator: object },
): "insecure" | "unsupported" | undefined {
  // Without HTTPS, browsers hide the feature from pages of other hosts, so check this first.
  if (!scope.isSecureContext) return "insecure";
  return "serial" in scope.navigator ? undefined : "unsupported";
}

/** Bytes that the browser buffers for a busy page. Its default, 255, loses some at 460800 baud. */
export const BUFFER = 16384;

/** The chip's own loader detects this speed by itself; everything falls back to it. */
export const SLOW = 115200;

/**
 * Starts the program in the flash: EN low for a moment, with IO0 high. The port must be open.
 *
 * Fault 2: esptool-js's `after("hard_reset")` never pulls EN low, and leaves IO0 low.
 */
export async function restart(port: Port): Promise<void> {
  await port.setSignals({ dataTerminalReady: false, requestToSend: true });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await port.setSignals({ dataTerminalReady: false, requestToSend: false });
}
