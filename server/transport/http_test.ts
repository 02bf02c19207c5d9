import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { makeCertificate } from "../../tests/support/certificate.ts";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError } from "../protocol/errors.ts";
import { Http, type HttpOptions, IDLE, MOST_CONNECTIONS, MOST_OF_ONE, STALLED } from "./http.ts";

/** A server with a clock that the test controls. */
async function begin(options: Partial<HttpOptions> = {}) {
  const clock = new ManualClock();
  const http = await Http.listen({
    ...{ port: 0, hostname: "127.0.0.1", clock },
    answer: async (request) => new Response(`${request.method} ${await request.text()}`),
    failed: (error) => new Response(String(error), { status: 500 }),
    ...options,
  });
  const { port } = http;
  const dial = (hostname = "127.0.0.1") => Deno.connect({ hostname, port });
  return {
    ...{ http, clock, port, dial, url: `http://127.0.0.1:${port}/` },
    [Symbol.asyncDispose]: () => http.close(),
  };
}

const encoder = new TextEncoder();

/** Everything that arrives until the connection ends. */
async function heard(conn: Deno.TcpConn): Promise<string> {
  let text = "";
  const piece = new Uint8Array(1024);
  try {
    for (let length; (length = await conn.read(piece)) !== null;) {
      text += new TextDecoder().decode(piece.subarray(0, length));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return text;
}

async function say(conn: Deno.TcpConn, text: string): Promise<void> {
  await conn.write(encoder.encode(text));
}

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

Deno.test("requests and responses keep their bodies, headers and statuses, several on one connection", async () => {
  await using place = await begin({
    answer: async (request, address) => {
      const body = await request.text();
      const { method, url, headers } = request;
      const seen = [method, new URL(url).pathname, headers.get("host"), headers.get("x-a"), body];
      return Response.json([...seen, address], {
        status: body === "" ? 200 : 201,
        headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]],
      });
    },
  });
  const { url, port } = place;
  const one = await fetch(`${url}a%2Fb?c`, { headers: { "x-a": "1" } });
  const host = `127.0.0.1:${port}`;
  assertEquals([one.status, await one.json()], [
    200,
    ["GET", "/a%2Fb", host, "1", "", "127.0.0.1"],
  ]);
  assertEquals(one.headers.getSetCookie(), ["a=1", "b=2"]);
  const two = await fetch(url, { method: "POST", body: "x".repeat(100_000) });
  assertEquals([two.status, (await two.json())[4].length], [201, 100_000]);
  const three = await fetch(url, { method: "DELETE" });
  assertEquals([three.status, (await three.json())[0]], [200, "DELETE"]);
});

Deno.test("an invalid request gets a 4xx answer or none, and the next request is answered", async () => {
  await using place = await begin();
  for (
    const text of [
      "nonsense\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
      "TRACE / HTTP/1.1\r\nhost: a\r\n\r\n",
      "GET http:// HTTP/1.1\r\nhost: a\r\n\r\n",
      "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
      `GET / HTTP/1.1\r\nhost: a\r\nx: ${"x".repeat(100_000)}\r\n\r\n`,
      "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
    ]
  ) {
    using conn = await place.dial();
    await say(conn, text).catch(() => {}); // it may be cut off meanwhile
    await conn.closeWrite().catch(() => {});
    const answer = await heard(conn);
    assert(answer === "" || /^HTTP\/1.1 4\d\d /.test(answer), `${text.slice(0, 20)}: ${answer}`);
  }
  assertEquals(await (await fetch(place.url)).text(), "GET ");
});

Deno.test("a request that fails is answered with 500, or its connection ends if half the answer was sent", async () => {
  await using place = await begin({
    answer: (request) => {
      if (request.url.endsWith("/whole")) throw new Error("oh");
      let pulls = 0;
      const body = new ReadableStream({
        pull(controller) {
          if (pulls++ === 0) controller.enqueue(encoder.encode("half"));
          else controller.error(new Error("no more"));
        },
      });
      return new Response(body);
    },
  });
  const whole = await fetch(`${place.url}whole`);
  assertEquals([whole.status, await whole.text()], [500, "Error: oh"]);
  const half = await fetch(`${place.url}half`);
  await assertRejects(() => half.text());
});

Deno.test("the body of an answer is cancelled when its reader leaves", async () => {
  let cancelled = 0;
  await using place = await begin({
    answer: () => new Response(new ReadableStream({ cancel: () => void cancelled++ })),
  });
  const stop = new AbortController();
  const asked = await fetch(place.url, { signal: stop.signal });
  stop.abort();
  await asked.body!.cancel().catch(() => {}); // it was aborted
  await until(() => cancelled === 1);
});

Deno.test("connections are limited: an idle one is closed to make room, but none that is being answered", async () => {
  await using place = await begin({
    answer: ({ url }) => new Response(url.endsWith("/stream") ? new ReadableStream() : "done"),
  });
  await using stack = new AsyncDisposableStack();
  const dial = async () => {
    const conn = await place.dial();
    stack.defer(() => conn.close());
    return conn;
  };
  const idle = [await dial(), await dial()];
  const streams: Deno.TcpConn[] = [];
  while (streams.length < MOST_CONNECTIONS - 2) {
    const conn = await dial();
    await say(conn, "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n");
    await conn.read(new Uint8Array(1024)); // its answer has begun
    streams.push(conn);
  }
  // The one that has been idle longest is closed.
  assertEquals(await (await fetch(place.url, { headers: { connection: "close" } })).text(), "done");
  assertEquals(await heard(idle[0]!), "");
  const more = [await dial(), await dial()];
  for (const conn of more) await say(conn, "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n");
  await until(async () => {
    const refused = await dial();
    return await Promise.race([
      heard(refused).then(() => true),
      streams[0]!.read(new Uint8Array(1)).then(() => false),
    ]);
  });
});

Deno.test("one address alone cannot take all connections", async () => {
  // Loopback is not counted, as a proxy may be there, so this uses another address of this machine.
  const other = Deno.networkInterfaces().find(({ family, address }) =>
    family === "IPv4" && !address.startsWith("127.")
  );
  if (!other) return console.log("this machine has no address but loopback");
  await using place = await begin({ hostname: "0.0.0.0" });
  await using stack = new AsyncDisposableStack();
  const conns: Deno.TcpConn[] = [];
  for (let n = 0; n < MOST_OF_ONE + 1; n++) {
    const conn = await place.dial(other.address);
    stack.defer(() => conn.close());
    conns.push(conn);
  }
  assertEquals(await heard(conns[0]!), "", "the first one has sent no request");
  await say(conns[1]!, GET);
  assert((await conns[1]!.read(new Uint8Array(1024)))! > 0);
  assertEquals(await (await fetch(place.url)).text(), "GET ", "other addresses can connect");
});

Deno.test("a connection that sends no request, or never completes one, is closed", async () => {
  await using place = await begin();
  using silent = await place.dial();
  using slow = await place.dial();
  await say(slow, "GET / HTTP/1.1\r\nhost:");
  using alive = await place.dial();
  await say(alive, GET);
  assert((await alive.read(new Uint8Array(1024)))! > 0);
  await place.clock.advance(IDLE - 5000);
  await say(slow, " a\r\n"); // the request is still incomplete
  await say(alive, GET);
  assert((await alive.read(new Uint8Array(1024)))! > 0);
  await place.clock.advance(5000);
  assertEquals([await heard(silent), await heard(slow)], ["", ""]);
  await say(alive, GET);
  assert((await alive.read(new Uint8Array(1024)))! > 0, "it has asked meanwhile");
});

Deno.test("a client that does not read its answer is disconnected, and the stream cancelled; a slow one is not", async () => {
  const ended: string[] = [];
  const piece = new Uint8Array(64 * 1024);
  await using place = await begin({
    answer: ({ url }) => {
      const body = new ReadableStream({
        pull: (controller) => controller.enqueue(piece),
        cancel: () => void ended.push(new URL(url).pathname),
      }, { highWaterMark: 0 });
      return new Response(body);
    },
  });
  using never = await place.dial();
  await say(never, "GET /never HTTP/1.1\r\nhost: a\r\n\r\n");
  using slow = await place.dial();
  await say(slow, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
  const read = async (conn: Deno.TcpConn, bytes: number) => {
    const into = new Uint8Array(64 * 1024);
    for (let n = 0; n < bytes;) n += (await conn.read(into))!;
  };
  for (let waited = 0; waited <= STALLED && !ended.includes("/never"); waited += 5000) {
    await read(slow, 16 * 1024 * 1024); // more than fits into the system's buffers
    await place.clock.advance(5000);
  }
  await until(() => ended.includes("/never"));
  await read(slow, 1024 * 1024);
  assertEquals(ended, ["/never"]);
});

Deno.test("close ends all connections, and frees the port", async () => {
  const place = await begin({ answer: () => new Response(new ReadableStream()) });
  using idle = await place.dial();
  using stream = await place.dial();
  await say(stream, GET);
  await stream.read(new Uint8Array(1024));
  await place.http.close();
  await heard(idle);
  await heard(stream);
  assertEquals(place.clock.timers, 0);
  const again = await Http.listen({
    ...{ port: place.port, hostname: "127.0.0.1", clock: place.clock },
    answer: () => new Response(),
    failed: () => new Response(),
  });
  await again.close();
});

Deno.test("listening on a port in use rejects with the code EADDRINUSE", async () => {
  await using place = await begin();
  const error = await assertRejects(() => begin({ port: place.port }), Error);
  assertEquals((error as NodeJS.ErrnoException).code, "EADDRINUSE");
});

toolTest("TLS: the next connection gets a new certificate, and a bad one is refused", {
  openssl: "openssl",
}, async ({ openssl }) => {
  const [one, two] = [await makeCertificate(openssl), await makeCertificate(openssl)];
  await using place = await begin({ tls: one });
  const url = `https://127.0.0.1:${place.port}/`;
  const ask = async (caCert: string) => {
    using client = Deno.createHttpClient({ caCerts: [caCert] });
    return await (await fetch(url, { client, method: "POST", body: "hello" })).text();
  };
  assertEquals(await ask(one.cert), "POST hello");
  for (
    const [tls, why] of [
      [{ cert: two.cert, key: one.key }, "does not belong to the certificate"],
      [{ cert: "none", key: one.key }, "cannot be read"],
    ] as const
  ) {
    try {
      place.http.setTls(tls);
      throw new Error("it was taken");
    } catch (error) {
      assert(error instanceof LocalError);
      assertStringIncludes(error.message, why);
    }
  }
  assertEquals(await ask(one.cert), "POST hello");
  place.http.setTls(two);
  assertEquals(await ask(two.cert), "POST hello");
  // A client without TLS does no harm.
  using plain = await place.dial();
  await say(plain, GET);
  await heard(plain);
  assertEquals(await ask(two.cert), "POST hello");
});
