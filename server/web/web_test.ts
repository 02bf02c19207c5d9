/** The page's server: what it shows, to whom, and that it goes on. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { TextLineStream } from "@std/streams";
import { Scene } from "../../tests/support/scene.ts";
import { until } from "../../tests/support/wait.ts";
import type { ServerOptions } from "../mod.ts";
import type { DeviceTold } from "./device_stream.ts";
import type { SeenDevice, Told } from "./seen.ts";
import { Web, type WebOptions } from "./web.ts";

/** A server, and the page of it. */
async function begin(options: Partial<WebOptions> = {}, server: ServerOptions = {}) {
  const stack = new AsyncDisposableStack();
  const scene = stack.use(await Scene.start(server));
  const web = await Web.start(scene.server, { port: 0, ...options });
  stack.defer(() => web.close());
  return { scene, web, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** What a stream tells: all at first, then changes. */
async function* listen<T = Told>(
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

Deno.test("devices are listed, and each is shown", async () => {
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
    message: "a % in the path begins no character",
  }]);
});

Deno.test("a stream tells everything, and then what changes", async () => {
  await using place = await begin();
  const { scene, web } = place;
  const [, peer] = await scene.device("a");
  await scene.device("b");
  const stop = new AbortController();
  const stream = listen(web, stop.signal);
  const next = async (): Promise<Told> => (await stream.next()).value;
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
  for (let told = await next(); !told.gone!.includes("b");) told = await next();
  stop.abort();
  await stream.return(undefined).catch(() => {}); // the stream was aborted
});

Deno.test("a device's stream tells of its messages, its channels and its log, and that it was forgotten", async () => {
  await using place = await begin();
  const { scene, web } = place;
  const [device, peer] = await scene.device("a");
  await scene.device("b");
  const stop = new AbortController();
  const stream = listen<DeviceTold>(web, stop.signal, "/api/devices/a/events");
  const told: DeviceTold[] = [];
  const next = async () => {
    told.push((await stream.next()).value);
    return told.at(-1)!;
  };
  const first = await next();
  assertEquals([first.may, first.device!.id, first.thing], ["look", "a", { channels: [] }]);
  assertEquals(first.lines.map((line) => line.way === "log" && line.entry.event), ["connected"]);
  await peer.say("00hello\n");
  device.write("welcome").catch(() => {}); // it is forgotten
  await (await scene.server.thing("a")).set("lamp", 1);
  await scene.server.transaction((tx) => tx.write("b", "for another one"));
  const lines = () =>
    told.slice(1).flatMap((it) => it.lines).flatMap((line) =>
      line.way === "log" ? [] : `${line.way} ${line.text}`
    ).sort();
  while (lines().length < 3) await next();
  assertEquals(lines(), ["in hello", "out =lamp.1 1", "out welcome"]);
  const thing = told.findLast((it) => it.thing)!.thing!;
  assertEquals(thing.channels.map(({ channel, desired }) => [channel, desired]), [["lamp", 1]]);
  await scene.server.forget("a");
  while ((await next()).device);
  stop.abort();
  await stream.return(undefined).catch(() => {}); // the stream was aborted
});

Deno.test("of a device that says more than is read the last is told, and how much was left out", async () => {
  await using place = await begin({}, { limits: { outbox: 500 } });
  const { scene, web } = place;
  const [device] = await scene.device("a");
  const stop = new AbortController();
  const stream = listen<DeviceTold>(web, stop.signal, "/api/devices/a/events");
  await stream.next();
  for (let n = 0; n < 400; n++) device.write(`line ${n}`).catch(() => {}); // it is closed
  const seen: string[] = [];
  let missed = 0;
  while (!seen.includes("line 399")) {
    const told: DeviceTold = (await stream.next()).value;
    missed += told.missed;
    for (const line of told.lines) if (line.way === "out") seen.push(line.text);
  }
  assertEquals([seen.length, missed], [300, 100]);
  stop.abort();
  await stream.return(undefined).catch(() => {}); // the stream was aborted
});

Deno.test("only what was meant for it is answered", async () => {
  await using place = await begin();
  const { web } = place;
  const { port } = new URL(web.url);
  /** The first line of the answer. */
  const ask = async (method: string, path: string, ...headers: string[]) => {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    const lines = [`${method} ${path} HTTP/1.1`, ...headers, "connection: close", "", ""];
    await conn.write(new TextEncoder().encode(lines.join("\r\n")));
    const text = await new Response(conn.readable).text();
    return Number(text.split(" ")[1]);
  };
  const host = `host: localhost:${port}`;
  assertEquals(await ask("GET", "/", host), 200);
  assertEquals(await ask("GET", "/", `host: 127.0.0.1:${port}`), 200);
  assertEquals(
    await ask("GET", "/", "host: elsewhere.test"),
    403,
    "a name that was made to point here",
  );
  assertEquals(await ask("GET", "/api/devices", host, "sec-fetch-site: cross-site"), 403);
  assertEquals(
    await ask("GET", "/", host, "sec-fetch-site: cross-site", "sec-fetch-mode: navigate"),
    200,
    "a link may lead here",
  );
  assertEquals(await ask("GET", "/", host, "origin: http://elsewhere.test"), 403);
  assertEquals(await ask("POST", "/api/devices", host), 405);
  assertEquals(await ask("GET", "/page/..%2f..%2fmain.ts", host), 404);
  assertEquals(await ask("GET", "/page/lanes_test.ts", host), 404);
});

Deno.test("the page loads nothing from elsewhere, runs no text, and browsers are told so", async () => {
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

Deno.test("the page's server ends while pages are open", async () => {
  const place = await begin();
  const stop = new AbortController();
  const streams = Array.from({ length: 3 }, () => listen(place.web, stop.signal));
  for (const stream of streams) await stream.next();
  await place[Symbol.asyncDispose]();
  for (const stream of streams) await stream.next().catch(() => {}); // it was cut
});

Deno.test("a page too many is refused, and there is room again when one is closed", async () => {
  await using place = await begin();
  const { web } = place;
  const url = new URL("/api/events", web.url);
  const pages = await Promise.all(Array.from({ length: 64 }, () => fetch(url)));
  const refused = await fetch(url);
  assertEquals([refused.status, await refused.json()], [503, {
    code: "TOO_MANY_STREAMS",
    message: "64 pages are open already",
  }]);
  for (const page of pages) await page.body!.cancel();
  await until(async () => {
    const page = await fetch(url);
    await page.body!.cancel();
    return page.status === 200;
  });
});
