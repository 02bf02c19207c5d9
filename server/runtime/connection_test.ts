import { assert, assertEquals, assertRejects } from "@std/assert";
import { until } from "../../tests/support/wait.ts";
import { Access } from "../admission/access.ts";
import { Admission } from "../admission/admission.ts";
import { Connection } from "./connection.ts";
import { Dialect1 } from "../link/dialect1.ts";
import { PeerError } from "../protocol/errors.ts";
import { defaultLimits } from "../link/limits.ts";
import { Session } from "../link/session.ts";
import { MemoryStore } from "../store/store.ts";

const HOUR = 3_600_000;

/** A socket without a network: what it gives, takes and fails with is up to the test. */
class Socket {
  readonly remoteAddr = { transport: "tcp", hostname: "192.0.2.1", port: 4711 };
  closed = false;
  written = "";
  #input: Uint8Array[] = [];
  #failure: Error | undefined;
  #reader: PromiseWithResolvers<void> | undefined;
  #taking: PromiseWithResolvers<void> | undefined;

  setNoDelay(): void {}

  gives(text: string): void {
    this.#input.push(new TextEncoder().encode(text));
    this.#reader?.resolve();
  }

  /** Every read and write from now on, and the ones that wait, fail. */
  fails(error: Error): void {
    this.#failure = error;
    this.#reader?.resolve();
    this.#taking?.resolve();
  }

  takesNothing(): void {
    this.#taking = Promise.withResolvers();
  }

  takesAgain(): void {
    this.#taking?.resolve();
    this.#taking = undefined;
  }

  async read(buffer: Uint8Array): Promise<number> {
    while (!this.#failure && this.#input.length === 0) {
      this.#reader = Promise.withResolvers();
      await this.#reader.promise;
    }
    if (this.#failure) throw this.#failure;
    const [first] = this.#input;
    const n = Math.min(first!.length, buffer.length);
    buffer.set(first!.subarray(0, n));
    if (n < first!.length) this.#input[0] = first!.subarray(n);
    else this.#input.shift();
    return n;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#taking?.promise;
    if (this.#failure) throw this.#failure;
    this.written += new TextDecoder().decode(bytes);
    return bytes.length;
  }

  close(): void {
    this.closed = true;
    this.fails(new Deno.errors.BadResource("closed"));
  }
}

/** A connection over such a socket, served. */
function serve(timeout = HOUR, limits = defaultLimits) {
  const socket = new Socket();
  const now = () => performance.now();
  const connection = new Connection(socket as unknown as Deno.TcpConn, limits, now);
  const store = new MemoryStore();
  const session = new Session(store.create("1"), timeout, limits);
  const link = new Dialect1(session.record, session.settled, timeout);
  session.connect(link, limits.lineBytes, true, now());
  const flush = () => {
    store.commit();
    connection.flush(true);
  };
  const ended = connection.serve(session, () => queueMicrotask(flush));
  return { socket, connection, session, ended, flush };
}

Deno.test("whatever the network fails with, it ends the one connection and nothing else", async () => {
  const errors = [
    new Deno.errors.ConnectionReset("Connection reset by peer"),
    new Deno.errors.TimedOut("Connection timed out"),
    // What a board that lost its WiFi comes to, after a while; Deno has no class for all of these.
    new Error("No route to host (os error 113)"),
    new Deno.errors.NetworkUnreachable("Network is unreachable (os error 101)"),
    new Deno.errors.PermissionDenied("Operation not permitted"), // a firewall
    new Error("No buffer space available (os error 105)"),
  ];
  for (const error of errors) {
    const { socket, ended } = serve();
    socket.fails(error);
    const reason = await ended;
    assertEquals([reason.code, reason.message, socket.closed], ["LOST", error.message, true]);
    assertEquals(reason.cause, error);
  }
});

Deno.test("a failure in the first line's reading is the peer's, too", async () => {
  const socket = new Socket();
  const now = () => performance.now();
  const connection = new Connection(socket as unknown as Deno.TcpConn, defaultLimits, now);
  const store = new MemoryStore();
  const admission = new Admission({
    access: new Access({ open: true }),
    limits: defaultLimits,
    now,
    record: (id) => store.create(id),
  }, connection.hostname);
  const hello = connection.admit(admission, HOUR, () => Promise.resolve());
  socket.fails(new Error("No route to host (os error 113)"));
  const error = await assertRejects(() => hello, PeerError, "No route");
  assertEquals(error.code, "LOST");
  connection.close();
});

Deno.test("a write that fails ends the connection", async () => {
  const { socket, session, ended, flush } = serve();
  socket.gives("\n");
  await until(() => socket.written === "\n");
  socket.takesNothing();
  session.write("text", {}, { arrived() {}, failed() {} }, performance.now());
  flush();
  socket.fails(new Error("No route to host (os error 113)"));
  assertEquals((await ended).code, "LOST");
});

Deno.test("reading goes on as soon as the socket takes again what waited for it", async () => {
  const { socket, connection, session, ended } = serve(HOUR, { ...defaultLimits, inbox: 1e6 });
  await until(() => socket.written === "\n");
  socket.takesNothing();
  let sent = 0;
  // Many acks, none of which can be sent.
  for (; session.wantsInput; sent++) {
    socket.gives(`${(sent % 255 + 1).toString(16).padStart(2, "0")}message ${sent}\n`);
    if (sent % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  socket.gives("00the last\n");
  socket.takesAgain();
  await until(() => socket.written.endsWith("\n00\n"), { what: "the last message's ack" });
  assert(session.wantsInput);
  connection.close();
  await ended;
});

Deno.test("a connection that is closed while nothing is read from it ends at once", async () => {
  const { socket, connection, session, ended } = serve(HOUR, { ...defaultLimits, inbox: 1 });
  socket.gives("00fits\n01does not\n");
  await until(() => !session.wantsInput);
  connection.close(new PeerError("SILENT", "the reason"));
  assertEquals((await ended).message, "the reason");
});
