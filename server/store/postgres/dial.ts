/** Opens the socket to a PostgreSQL server: TCP or Unix, with TLS according to `sslmode`. */
import { connect, isIP, type Socket } from "node:net";
import { connect as secure, type ConnectionOptions } from "node:tls";
import { LocalError } from "../../protocol/errors.ts";
import type { ConnInfo, Host } from "./conninfo.ts";

/** PostgreSQL's SSLRequest: asks whether the server supports TLS; it answers with one letter. */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const YES = "S".charCodeAt(0);

/**
 * @param signal Cancels it.
 * @throws {LocalError} STORE_UNUSABLE: TLS is not available as required
 * @throws {Error} from the system
 */
export async function dial(info: ConnInfo, at: Host, signal: AbortSignal): Promise<Socket> {
  const isUnix = at.host.startsWith("/");
  const socket = isUnix
    ? connect({ path: `${at.host}/.s.PGSQL.${at.port}` })
    : connect({ host: at.host, port: at.port, noDelay: true, keepAlive: true });
  let open: Socket = socket;
  const giveUp = () => open.destroy(signal.reason);
  signal.addEventListener("abort", giveUp);
  try {
    await happens(socket, "connect");
    if (isUnix || info.ssl === "disable") return socket;
    socket.write(SSL_REQUEST);
    const answer = await happens<Uint8Array>(socket, "data");
    if (answer[0] !== YES) {
      if (info.ssl === "prefer") return socket;
      throw unusable(info, `the database does not support TLS, but sslmode is ${info.ssl}`);
    }
    open = secure({ socket, ...tlsOptions(info, at) });
    await happens(open, "secureConnect");
    return open;
  } catch (error) {
    open.destroy();
    socket.destroy();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

/** Waits for an event of a socket. @throws {Error} it ended before */
function happens<T = void>(socket: Socket, event: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const done = (value: T) => {
      socket.off("error", failed).off("close", closed).off(event, done);
      resolve(value);
    };
    const failed = (error: Error) => {
      socket.off("close", closed).off(event, done);
      reject(error);
    };
    const closed = () => failed(new Error("the connection was closed"));
    socket.once("error", failed).once("close", closed).once(event, done);
  });
}

function tlsOptions(info: ConnInfo, { host }: Host): ConnectionOptions {
  const { ssl, rootCert, cert, key } = info;
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(path);
    } catch (cause) {
      throw unusable(info, `${path} cannot be read`, cause);
    }
  };
  const root = rootCert ?? defaultRoot();
  // As in libpq, a root certificate makes "require" verify who signed the server's certificate.
  const verifies = ssl.startsWith("verify") || (ssl === "require" && rootCert !== undefined);
  return {
    host, // the certificate must be for it: an IP address has no servername
    ...(isIP(host) === 0 && { servername: host }),
    rejectUnauthorized: verifies,
    ...(verifies && root !== undefined && root !== "system" && { ca: read(root) }),
    ...(ssl !== "verify-full" && { checkServerIdentity: () => undefined }),
    ...(cert !== undefined && { cert: read(cert) }),
    ...(key !== undefined && { key: read(key) }),
  };
}

function defaultRoot(): string | undefined {
  const path = `${Deno.env.get("HOME")}/.postgresql/root.crt`;
  try {
    return Deno.statSync(path).isFile ? path : undefined;
  } catch {
    return undefined;
  }
}

function unusable({ about }: ConnInfo, what: string, cause?: unknown): LocalError {
  return new LocalError("STORE_UNUSABLE", `the store ${about}: ${what}`, { cause });
}
