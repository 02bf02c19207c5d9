/** The page's server: what it shows and to whom, and that it survives failures. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { gzipSync } from "node:zlib";
import { TextLineStream } from "@std/streams";
import { folder } from "../../tests/support/main_process.ts";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { Scene } from "../../tests/support/scene.ts";
import { until } from "../../tests/support/wait.ts";
import { type Batch, channels, type ServerOptions, SqliteStore } from "../mod.ts";
import { LocalError } from "../protocol/errors.ts";
import { Credentials, hashPassword } from "./credentials.ts";
import type { DeviceUpdate } from "./device_stream.ts";
import type { DevicesUpdate, SeenDevice } from "./seen.ts";
import { Web, type WebOptions } from "./web.ts";

/** A server and its page. */
async function begin(options: Partial<WebOptions> = {}, server: ServerOptions = {}) {
  const stack = new AsyncDisposableStack();
  const scene = stack.use(await Scene.start(server));
  const web = await Web.start(scene.server, { port: 0, ...options });
  stack.defer(() => web.close());
  const { port: webPort } = web;
  return { webPort, scene, web, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** The updates of a stream: first everything, then changes. */
async function* listen<T = DevicesUpdate>(
  web: Web,
  signal: AbortSignal,
  path = "/api/events",
): AsyncGenerator<T> {
  const { body } = await fetch(new URL(path, web.url), { signal });
  const lines = body!.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  for await (const line of lines) {
    const [, data] = line.match(/^data: (.*)$/) ?? [];
    if (data !== undefined) yield JSON.parse(data);
  }
}

Deno.test("devices are listed, and each can be read by its id", async () => {
  await using place = await begin();
  const { scene, web } = place;
  const [, peer] = await scene.device("hall/lamp");
  await peer.say("00hello\n");
  const get = (path: string) => fetch(new URL(path, web.url));
  await until(async () => {
    const [device] = await (await get("/api/devices")).json();
    return device.counts.received === 1;
  });
  const device: SeenDevice = await (await get("/api/devices/hall%2Flamp")).json();
  const { id, connected, connects, inbox, links: [link] } = device;
  assertEquals({ id, connected, connects, inbox }, {
    id: "hall/lamp",
    connected: true,
    connects: 1,
    inbox: 1,
  });
  assertEquals(link?.to, undefined);
  const none = await get("/api/devices/nobody");
  assertEquals([none.status, await none.json()], [404, {
    code: "UNKNOWN_DEVICE",
    message: `no device has ever connected as "nobody"`,
  }]);
  const wrong = await get("/api/devices/%");
  assertEquals([wrong.status, await wrong.json()], [400, {
    code: "BAD_ARGUMENT",
    message: "a % in the path is not followed by a valid character code",
  }]);
});

Deno.test("a stream sends all devices, and then the changes", async () => {
  await using place = await begin();
  const { scene, web } = place;
  const [, peer] = await scene.device("a");
  await scene.device("b");
  const stop = new AbortController();
  const stream = listen(web, stop.signal);
  const next = async (): Promise<DevicesUpdate> => (await stream.next()).value;
  const all = await next();
  assertEquals(all.devices.map(({ id }) => id), ["a", "b"]);
  assertEquals(all.served.length, 1);

  peer.close();
  const away = await next();
  assertEquals(away.devices.map(({ id, connected }) => ({ id, connected })), [
    { id: "a", connected: false },
  ]);
  assert(away.devices[0]!.links.at(-1)!.to !== undefined);

  await scene.server.forget("b");
  for (let update = await next(); !update.gone!.includes("b");) update = await next();
  stop.abort();
  await stream.return(undefined).catch(() => {}); // the stream was aborted
});

Deno.test("a device's stream sends its messages, channels and log, and reports that it was forgotten", async () => {
  await using place = await begin();
  const { scene, web } = place;
  const [device, peer] = await scene.device("a");
  await scene.device("b");
  const stop = new AbortController();
  const stream = listen<DeviceUpdate>(web, stop.signal, "/api/devices/a/events");
  const updates: DeviceUpdate[] = [];
  const next = async () => {
    updates.push((await stream.next()).value);
    return updates.at(-1)!;
  };
  const first = await next();
  assertEquals([first.may, first.device!.id, first.thing], ["look", "a", {
    channels: [],
    diagnostics: [],
  }]);
  assertEquals(first.lines.map((line) => line.way === "log" && line.entry.event), ["connected"]);
  await peer.say("00hello\n");
  device.write("welcome").catch(() => {}); // rejects when the device is forgotten
  await (await scene.server.thing("a")).set("lamp", 1);
  await scene.server.transaction((tx) => tx.write("b", "for another one"));
  const lines = () =>
    updates.slice(1).flatMap((it) => it.lines).flatMap((line) =>
      line.way === "log" ? [] : `${line.way} ${line.text}`
    ).sort();
  while (lines().length < 3) await next();
  assertEquals(lines(), ["in hello", "out =lamp.1 1", "out welcome"]);
  const thing = updates.findLast((it) => it.thing)!.thing!;
  assertEquals(thing.channels.map(({ channel, desired }) => [channel, desired]), [["lamp", 1]]);
  await scene.server.forget("a");
  while ((await next()).device);
  stop.abort();
  await stream.return(undefined).catch(() => {}); // the stream was aborted
});

Deno.test("of more messages than are read the last ones are sent, and the number left out", async () => {
  await using place = await begin({}, { limits: { outbox: 500 } });
  const { scene, web } = place;
  const [device] = await scene.device("a");
  const stop = new AbortController();
  const stream = listen<DeviceUpdate>(web, stop.signal, "/api/devices/a/events");
  await stream.next();
  for (let n = 0; n < 400; n++) device.write(`line ${n}`).catch(() => {}); // rejects when the server closes
  const seen: string[] = [];
  let missed = 0;
  while (!seen.includes("line 399")) {
    const update: DeviceUpdate = (await stream.next()).value;
    missed += update.missed;
    for (const line of update.lines) if (line.way === "out") seen.push(line.text);
  }
  assertEquals([seen.length, missed], [300, 100]);
  stop.abort();
  await stream.return(undefined).catch(() => {}); // the stream was aborted
});

/** Sends a request with any headers, also those that `fetch` refuses. @returns status and body */
async function ask(
  web: Web,
  method: string,
  path: string,
  ...headers: string[]
): Promise<{ status: number; body: string }> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: portOf(web) });
  const lines = [`${method} ${path} HTTP/1.1`, ...headers, "connection: close", "", ""];
  await conn.write(new TextEncoder().encode(lines.join("\r\n")));
  const text = await new Response(conn.readable).text();
  const [head, body = ""] = text.split("\r\n\r\n");
  return { status: Number(head!.split(" ")[1]), body };
}

const portOf = (web: Web) => Number(new URL(web.url).port);

Deno.test("requests for another host and from other sites are refused", async () => {
  await using place = await begin({ admin: true });
  const { web } = place;
  await place.scene.device("a");
  const port = portOf(web);
  const status = async (...args: [string, string, ...string[]]) => (await ask(web, ...args)).status;
  const host = `host: localhost:${port}`;
  assertEquals(await status("GET", "/", host), 200);
  assertEquals(await status("GET", "/", `host: 127.0.0.1:${port}`), 200);
  assertEquals(await status("GET", "/", `host: [::1]:${port}`), 200);
  const ours = `origin: http://localhost:${port}`;
  assertEquals(await status("POST", "/api/devices/a/clear", host, ours), 200);
  // Another name that resolves to this address (DNS rebinding).
  for (
    const name of ["elsewhere.test", "localhost.elsewhere.test", "127.0.0.1.elsewhere.test", ""]
  ) {
    assertEquals(await status("GET", "/api/devices", `host: ${name}`), 403, name);
  }
  // Requests that another site makes a browser send.
  const navigates = ["sec-fetch-mode: navigate", "sec-fetch-dest: document"];
  const crossSite = "sec-fetch-site: cross-site";
  const theirs = "origin: http://elsewhere.test";
  const path = "/api/devices/a/clear";
  assertEquals(
    await status("GET", "/", host, crossSite, ...navigates),
    200,
    "a link may lead here",
  );
  assertEquals(await status("GET", "/api/devices", host, crossSite), 403);
  assertEquals(await status("GET", "/api/devices", host, "sec-fetch-site: same-site"), 403);
  assertEquals(
    await status("GET", "/", host, crossSite, navigates[0]!, "sec-fetch-dest: iframe"),
    403,
  );
  for (const origin of [theirs, "origin: null", `origin: https://localhost:${port}`]) {
    assertEquals(await status("POST", path, host, origin), 403, origin);
    assertEquals(await status("DELETE", "/api/devices/a", host, origin), 403, origin);
  }
  assertEquals(await status("POST", path, host, crossSite, ...navigates), 403, "a form");
  assertEquals(await status("OPTIONS", path, host, theirs), 403, "a preflight");
  assertEquals(place.scene.server.devices.length, 1);
});

Deno.test("only the page's own files are served, and without admin, nothing can be changed", async () => {
  await using place = await begin();
  const { web } = place;
  const host = `host: localhost:${portOf(web)}`;
  const status = async (method: string, path: string) =>
    (await ask(web, method, path, host)).status;
  for (
    const path of ["/page/..%2f..%2fmain.ts", "/page/lanes_test.ts", "/page/", "/server/main.ts"]
  ) {
    assertEquals(await status("GET", path), 404, path);
  }
  assertEquals(await status("PUT", "/api/devices"), 405);
  await place.scene.device("a");
  assertEquals(await status("DELETE", "/api/devices/a"), 403);
  assertEquals(await status("POST", "/api/devices/a/send"), 403);
});

Deno.test("without a password, the page does not start where others can reach it", async () => {
  await using scene = await Scene.start();
  const elsewhere = new URL("http://holdfast.example/");
  for (const options of [{ hostname: "0.0.0.0" }, { hostname: "::" }, { url: elsewhere }]) {
    await assertRejects(
      () => Web.start(scene.server, { port: 0, ...options }),
      LocalError,
      "needs a password",
    );
  }
});

Deno.test("with a password, nothing about the devices is shown before the login", async () => {
  const hash = await hashPassword("correct horse");
  const credentials = Credentials.none.withPassword(hash);
  const url = new URL("http://holdfast.example/");
  await using place = await begin({ credentials, admin: true, hostname: "0.0.0.0", url });
  const { web } = place;
  await place.scene.device("secret-name");
  const host = "host: holdfast.example";
  const port = place.webPort;
  const routes: [string, string][] = [
    ["GET", "/api/devices"],
    ["GET", "/api/devices/secret-name"],
    ["GET", "/api/devices/secret-name/events"],
    ["GET", "/api/events"],
    ["GET", "/api/log"],
    ["GET", "/metrics"],
    ["POST", "/api/devices/secret-name/clear"],
    ["DELETE", "/api/devices/secret-name"],
  ];
  const at = { url: `http://127.0.0.1:${port}/` } as Web;
  for (const [method, path] of routes) {
    const { status, body } = await ask(at, method, path, host);
    assertEquals([status, body.includes("secret-name")], [401, false], path);
  }
  const session = await fetch(new URL("/api/session", at.url), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ password: "correct horse" }),
  });
  await session.body!.cancel();
  const cookie = `cookie: ${session.headers.get("set-cookie")!.split(";")[0]}`;
  assertEquals((await ask(at, "GET", "/api/devices", host, cookie)).status, 200);
  // The cookie does not help another site, even in a browser that ignores SameSite.
  const theirs = "origin: http://elsewhere.test";
  assertEquals((await ask(at, "DELETE", routes[7]![1], host, cookie, theirs)).status, 403);
  assertEquals(web.url, "http://holdfast.example/");
});

Deno.test("the page loads only its own files and has no inline scripts, and its policy says so", async () => {
  await using place = await begin();
  const { web } = place;
  const page = await fetch(web.url);
  assertStringIncludes(page.headers.get("content-security-policy")!, "default-src 'self'");
  const html = await page.text() + await (await fetch(new URL("/devices/a", web.url))).text();
  for (const [, path] of html.matchAll(/(?:href|src)="([^"#]+)"/g)) {
    const file = await fetch(new URL(path!, web.url));
    await file.body?.cancel();
    assertEquals([path, file.status], [path, 200]);
  }
  for (const [, script] of html.matchAll(/<script[^>]*>([^]*?)<\/script>/g)) {
    assertEquals(script, "");
  }
});

/** All files that a page loads, by path: those that its HTML names and that modules import. */
async function loaded(web: Web, path: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const load = async (path: string): Promise<void> => {
    if (files.has(path)) return;
    files.set(path, ""); // first, because modules may import each other
    const response = await fetch(new URL(path, web.url));
    const text = await response.text();
    assertEquals([path, response.status], [path, 200]);
    files.set(path, text);
    const names =
      /(?:href|src)="([^"#]+\.\w+)"|^import (?:[^"]*? from )?"([^"]+)"|from "([^"]+)"/gm;
    for (const [, html, bare, from] of text.matchAll(names)) {
      await load(new URL(html ?? bare ?? from!, new URL(path, web.url)).pathname);
    }
  };
  await load(path);
  return files;
}

Deno.test("the page is smaller than 40 KB compressed, and loads the library for curves only when needed", async () => {
  await using place = await begin();
  for (const path of ["/", "/devices/a", "/login"]) {
    const files = await loaded(place.web, path);
    let bytes = 0;
    for (const text of files.values()) bytes += gzipSync(text).length;
    console.log(`${path} ${files.size} files, ${bytes} bytes (gzip)`);
    assert(bytes < 40_000);
    assert(!files.has("/page/uplot.js"));
  }
  const host = `host: localhost:${portOf(place.web)}`;
  const length = async (...headers: string[]) =>
    (await ask(place.web, "GET", "/page/main.ts", host, ...headers)).body.length;
  const plain = await length();
  assert(await length("accept-encoding: gzip, br") < plain / 2);
  assertEquals(await length("accept-encoding: gzip;q=0"), plain);
});

Deno.test("the values of a channel are kept for its curve", async () => {
  await using place = await begin({}, { app: channels({ temp: {} }) });
  const { scene, web } = place;
  const [, peer] = await scene.device("a");
  const get = async () => {
    const url = new URL("/api/devices/a/values?channel=temp", web.url);
    return (await (await fetch(url)).json()).points.map(([, value]: number[]) => value);
  };
  await peer.say("00=temp 20\n01=temp 21.5\n");
  await until(async () => (await get()).length === 2);
  assertEquals(await get(), [20, 21.5]);
});

Deno.test("the page's server can close while pages are open", async () => {
  const place = await begin();
  const stop = new AbortController();
  const streams = Array.from({ length: 3 }, () => listen(place.web, stop.signal));
  for (const stream of streams) await stream.next();
  await place[Symbol.asyncDispose]();
  for (const stream of streams) await stream.next().catch(() => {}); // it was cut off
});

Deno.test("pages over the limit are refused, until others are closed", async () => {
  await using place = await begin();
  const { web } = place;
  const url = new URL("/api/events", web.url);
  const pages = await Promise.all(Array.from({ length: 64 }, () => fetch(url)));
  const refused = await fetch(url);
  assertEquals([refused.status, await refused.json()], [503, {
    code: "TOO_MANY_STREAMS",
    message: "there are already 64 open streams",
  }]);
  for (const page of pages) await page.body!.cancel();
  await until(async () => {
    const page = await fetch(url);
    await page.body!.cancel();
    return page.status === 200;
  });
});

/** A store on disk whose commits fail while the test wants it. */
class FailingStore extends SqliteStore {
  fails = false;

  override commit(batch: Batch) {
    if (!this.fails) return super.commit(batch);
    return Promise.reject(new LocalError("STORE_FAILED", "no room left"));
  }
}

Deno.test("while the store fails, the page works and can be closed; the history follows when the store works", async () => {
  using place = folder();
  const store = new FailingStore(`${place.path}/server.db`);
  {
    await using first = await begin({}, { store });
    const [, peer] = await first.scene.device("a");
    peer.close();
    await until(() => !first.scene.server.known("a")!.connected);
  }
  store.fails = true;
  const clock = new ManualClock();
  const patiently = async <T>(work: Promise<T>): Promise<T> => {
    let isDone = false;
    void work.finally(() => isDone = true);
    await until(async () => {
      await clock.advance(100);
      return isDone;
    });
    return await work;
  };
  await using scene = await Scene.start({ store });
  const web = await patiently(Web.start(scene.server, { port: 0 }, clock));
  const stop = new AbortController();
  const streams = [
    listen(web, stop.signal),
    listen<DeviceUpdate>(web, stop.signal, "/api/devices/a/events"),
  ] as const;
  const linksNow = async () => {
    const [{ value: all }, { value: one }] = await Promise.all([
      streams[0].next(),
      streams[1].next(),
    ]);
    return [all!.devices![0]!.links.length, one!.device!.links.length];
  };
  assertEquals(await linksNow(), [0, 0]);
  store.fails = false;
  assertEquals(await linksNow(), [1, 1]);
  store.fails = true;
  stop.abort();
  await patiently(web.close());
  store.fails = false;
});
