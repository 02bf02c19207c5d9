/**
 * Devices that connect to the server of a {@linkcode Scene}: clients, and peers that greet in dialect 2.
 *
 * @module
 */
import {
  Client,
  type ClientOptions,
  type LocalError,
  type PeerError,
} from "../../bridge/host/mod.ts";
import type { ServerOptions } from "../../server/mod.ts";
import { parseKey } from "../../server/protocol/proof.ts";
import { helloLine, proveLine, type Said } from "./greeting.ts";
import type { RawPeer } from "./raw.ts";
import type { Scene } from "./scene.ts";
import { until } from "./wait.ts";

export const KEY = "a1b2c3d4e5f60718".repeat(4);
export const OTHER_KEY = "0f1e2d3c4b5a6978".repeat(4);

/** Timeout for tests that wait for a quarter of it, in ms: short, but a link survives it on a busy machine. */
export const SHORT = 4000;
/** Timeout for tests that wait for all of it. */
export const SHORTEST = 2000;

/** Options of a server to which only device "1" may connect, with its key. */
export const locked: ServerOptions = { open: false, keys: [["1", KEY]] };

/** A client, and the reason each time that its link was lost or could not be made. */
export function dial(
  { port }: { port: number },
  options: Partial<ClientOptions> = {},
): [Client, (PeerError | LocalError)[]] {
  const reasons: (PeerError | LocalError)[] = [];
  const client = new Client({
    id: "1",
    port,
    timeout: 60_000,
    onState: (_, reason) => reason && reasons.push(reason),
    ...options,
  });
  return [client, reasons];
}

/** Sends a hello, reads the welcome, and proves its key if there is one. */
export async function greet(
  scene: Scene,
  { key, ...said }: Partial<Said> & { key?: string } = {},
): Promise<RawPeer> {
  const hello = helloLine({ suite: key ? "02" : "00", ...said });
  const peer = await scene.dial(`${hello}\n`);
  const welcome = await until(() => peer.lines[0]);
  await peer.say(key ? proveLine(parseKey("1", key), hello, welcome) : "\n");
  return peer;
}

/** Waits for the end of a refused connection. */
export async function turnedAway(scene: Scene, peer: RawPeer, code: string): Promise<string> {
  await peer.end();
  await scene.logs("refused", code);
  return peer.heard;
}
