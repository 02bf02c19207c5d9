/** The real {@linkcode Platform}: node:net and node:tls, as Deno has them. */
import dns from "node:dns";
import net from "node:net";
import tls from "node:tls";
import { LocalError, PeerError } from "../protocol/errors.ts";
import { boot } from "./boot.ts";
import { inWords, NodeSocket } from "./node_socket.ts";
import {
  type Listener,
  type ListenOptions,
  LONGEST_TIMER,
  type Platform,
  type Socket,
  type Tls,
} from "./platform.ts";
import { checkPair } from "./tls_pair.ts";

/**
 * Deno's event loop is tokio's. While it is busy it polls the system for ready sockets only once in 61 passes, and
 * each answer names at most 1,024 of them; these are read in that pass. So this takes as many passes for each
 * 1,024 sockets, and as many again because the last answer may be from before the call.
 */
const PASSES = 64;
const SOCKETS_OF_AN_ANSWER = 1024;

/** The interval of `knock`, in ms. */
const KNOCK = 250;

/** A file that uses a handle and nothing else. */
const PROBE = "/dev/null";

/** The machine that this runs on. */
export const nodePlatform: Platform = {
  now: () => performance.now(),
  date: () => Date.now(),
  boot,
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.ceil(ms), LONGEST_TIMER));
    return () => clearTimeout(timer);
  },
  soon: (run) => queueMicrotask(run),
  endOfTurn: (run) => void setImmediate(run),
  caughtUp,
  freeFiles,
  machine,
  listen,
  resolve,
  connect: NodeSocket.connect,
};

/** Known on Linux if /proc may be read. Deno has raised the soft limit to the hard one. */
function freeFiles(): number | undefined {
  try {
    const most = Deno.readTextFileSync("/proc/self/limits").match(/^Max open files +(\d+)/m)?.[1];
    return most === undefined ? most : Number(most) - [...Deno.readDirSync("/proc/self/fd")].length;
  } catch {
    return undefined;
  }
}

/** The name of this machine; undefined: the process may not read it. */
function machine(): string | undefined {
  try {
    return Deno.hostname();
  } catch {
    return undefined;
  }
}

/** Passes of the event loop since counting began. */
let passed = 0;
/** Functions to run, by pass. */
const due = new Map<number, (() => void)[]>();

function caughtUp(sockets: number, run: () => void): void {
  const pass = passed + PASSES * (1 + Math.ceil(sockets / SOCKETS_OF_AN_ANSWER));
  const runs = due.get(pass);
  if (runs) return void runs.push(run);
  due.set(pass, [run]);
  if (due.size === 1) setImmediate(nextPass);
}

function nextPass(): void {
  const runs = due.get(++passed);
  due.delete(passed);
  // First, so that a run that throws does not end the counting.
  if (due.size > 0) setImmediate(nextPass);
  for (const run of runs ?? []) queueMicrotask(run);
}

async function listen(
  { hostname, port, backlog, tls }: ListenOptions,
  accept: (socket: Socket) => void,
  failed: (error: Error) => void,
): Promise<Listener> {
  let context = tls && checkedContext(tls);
  let closed = false;
  const server = net.createServer({ pauseOnConnect: true }, (raw) => {
    if (closed) raw.destroy();
    else accept(NodeSocket.accepted(raw, context));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(named(error)));
    server.listen({ host: hostname, port, backlog }, resolve);
  });
  server.on("error", failed);
  const probes = Deno.permissions.querySync({ name: "read", path: PROBE }).state === "granted";
  const knocking = setInterval(() => knock(server, backlog, probes ? failed : undefined), KNOCK);
  return {
    port: (server.address() as net.AddressInfo).port,
    setTls(tls) {
      if (!context) throw new LocalError("BAD_ARGUMENT", "this listener has no TLS");
      context = checkedContext(tls);
    },
    close() {
      closed = true;
      clearInterval(knocking);
      server.close(); // the port is free at once; node calls back only when all connections have ended
      return Promise.resolve();
    },
  };
}

/**
 * When the system cannot give Deno's listener a socket, most likely because there are no file handles, the
 * listener silently stops for good. Listening again on the same handle wakes it, and does nothing otherwise.
 * Opening a file shows whether there are handles.
 */
function knock(
  server: net.Server,
  backlog: number,
  failed: ((error: Error) => void) | undefined,
): void {
  (server as unknown as { _handle?: { listen?(backlog: number): void } })._handle?.listen?.(
    backlog,
  );
  if (!failed) return;
  try {
    Deno.openSync(PROBE).close();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EMFILE" || code === "ENFILE") failed(error as Error);
  }
}

function resolve(
  hostname: string,
  ended: (found: readonly string[] | PeerError) => void,
): () => void {
  let forgotten = false;
  const end = (error: unknown, found: readonly dns.LookupAddress[] = []) => {
    if (forgotten) return;
    if (!error && found.length > 0) return ended(found.map(({ address }) => address));
    const why = error ? inWords(error) : "it has no address";
    const message = `the name ${JSON.stringify(hostname)} could not be looked up: ${why}`;
    ended(new PeerError("NO_ADDRESS", message, { cause: error }));
  };
  try {
    dns.lookup(hostname, { all: true }, end);
  } catch (error) { // not a valid name
    queueMicrotask(() => end(error));
  }
  return () => {
    forgotten = true;
  };
}

/** Deno reports EINVAL for an address that this machine does not have. */
function named(error: NodeJS.ErrnoException): Error {
  if (error.code !== "EINVAL") return error;
  const better = new Error(
    error.message.replace("EINVAL: invalid argument", "EADDRNOTAVAIL: this machine has no address"),
    { cause: error },
  );
  return Object.assign(better, { code: "EADDRNOTAVAIL" });
}

/** @throws {LocalError} BAD_ARGUMENT */
function checkedContext({ cert, key }: Tls): tls.SecureContext {
  checkPair({ cert, key });
  return tls.createSecureContext({ cert, key });
}
