/** The part of Web Serial that the page uses. Neither Deno's types nor TypeScript's know it. */

export interface Signals {
  dataTerminalReady?: boolean;
  requestToSend?: boolean;
  break?: boolean;
}

/** What the browser knows of a USB adapter. */
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
  /** Opens the browser's list of ports. Rejects with NotFoundError when the user picks none. */
  requestPort(options?: { filters?: PortInfo[] }): Promise<Port>;
  /** The ports that the user has picked before and that are plugged in. */
  getPorts(): Promise<Port[]>;
}

/** Why this browser cannot reach a board; undefined: it can. Asks for the feature, not for a name. */
export function obstacle(
  scope: { isSecureContext: boolean; navigator: object },
): "insecure" | "unsupported" | undefined {
  // A page from elsewhere without HTTPS is not shown the feature at all, so this comes first.
  if (!scope.isSecureContext) return "insecure";
  return "serial" in scope.navigator ? undefined : "unsupported";
}

/** Bytes that the browser keeps for a page that is busy. Its 255 lose some at 460800 baud. */
export const BUFFER = 16384;

/** The chip's own loader finds this speed by itself; everything falls back to it. */
export const SLOW = 115200;

/**
 * Starts the program in the flash: EN low for a moment, with IO0 high. On an open port.
 *
 * Fault 2: esptool-js's `after("hard_reset")` never pulls EN low, and leaves IO0 low.
 */
export async function restart(port: Port): Promise<void> {
  await port.setSignals({ dataTerminalReady: false, requestToSend: true });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await port.setSignals({ dataTerminalReady: false, requestToSend: false });
}
