/** The table of routes: paths, rights and errors. */
import { assertEquals, assertRejects } from "@std/assert";
import { LocalError } from "../protocol/errors.ts";
import { readJson } from "./body.ts";
import { json, type Right, route, Router } from "./routes.ts";

const router = new Router([
  route("GET", "/api/devices", "look", () => json(["a"])),
  route("GET", "/api/devices/:id", "look", ({ params }) => json(params.id)),
  route("DELETE", "/api/devices/:id", "act", ({ params }) => json(params.id)),
  route(
    "POST",
    "/api/devices/:id/send",
    "act",
    async ({ request }) => json(await readJson(request)),
  ),
  route("GET", "/file.css", "nothing", () => new Response("body {}")),
  route("GET", "/fails", "nothing", () => {
    throw new LocalError("OUTBOX_FULL", "no room");
  }),
  route("GET", "/rejects", "nothing", () => Promise.reject(new LocalError("FAULT", "busy"))),
  route("GET", "/breaks", "nothing", () => {
    throw new TypeError("a fault of ours");
  }),
]);

async function ask(
  method: string,
  path: string,
  may: Right = "act",
  body?: BodyInit,
  type = "application/json",
): Promise<[number, unknown, Headers]> {
  const headers: HeadersInit = body === undefined ? {} : { "content-type": type };
  const request = new Request(`http://localhost${path}`, { method, headers, body: body ?? null });
  const response = await router.answer(request, { may, address: undefined });
  const text = await response.text();
  return [
    response.status,
    text.startsWith("body") ? text : text && JSON.parse(text),
    response.headers,
  ];
}

const code = async (...args: Parameters<typeof ask>) => {
  const [status, body] = await ask(...args);
  return [status, (body as { code: string }).code];
};

Deno.test("a path finds its route, and its parameters are decoded", async () => {
  assertEquals((await ask("GET", "/api/devices?x=1")).slice(0, 2), [200, ["a"]]);
  assertEquals((await ask("GET", "/api/devices/hall%2Flamp")).slice(0, 2), [200, "hall/lamp"]);
  assertEquals((await ask("DELETE", "/api/devices/%C3%A4")).slice(0, 2), [200, "ä"]);
  assertEquals((await ask("HEAD", "/file.css")).slice(0, 2), [200, ""]);
});

Deno.test("unknown paths and methods get the matching error", async () => {
  assertEquals(await code("GET", "/api/devices/a/b/c"), [404, "NOT_FOUND"]);
  assertEquals(await code("GET", "/api/devices/%ff"), [400, "BAD_ARGUMENT"]);
  const [status, , headers] = await ask("PUT", "/api/devices/a");
  assertEquals([status, headers.get("allow")], [405, "GET, HEAD, DELETE"]);
});

Deno.test("a route requires its right", async () => {
  assertEquals(await code("GET", "/api/devices", "nothing"), [401, "NOT_LOGGED_IN"]);
  assertEquals(await code("DELETE", "/api/devices/a", "nothing"), [401, "NOT_LOGGED_IN"]);
  assertEquals(await code("DELETE", "/api/devices/a", "look"), [403, "READ_ONLY"]);
  assertEquals((await ask("GET", "/file.css", "nothing"))[0], 200);
});

Deno.test("errors of the server become responses, and our own bugs are thrown", async () => {
  assertEquals((await ask("GET", "/fails")).slice(0, 2), [503, {
    code: "OUTBOX_FULL",
    message: "no room",
  }]);
  assertEquals(await code("GET", "/rejects"), [502, "FAULT"]);
  await assertRejects(() => ask("GET", "/breaks"), TypeError);
});

Deno.test("a body must be a JSON object, and is bounded in size and time", async () => {
  const send = (body: BodyInit, type?: string) =>
    code("POST", "/api/devices/a/send", "act", body, type);
  assertEquals((await ask("POST", "/api/devices/a/send", "act", '{"line":"x"}'))[1], { line: "x" });
  assertEquals(await send("{}", "text/plain"), [415, "BAD_TYPE"], "a type that a form can send");
  assertEquals(await send("{}", "application/json-seq"), [415, "BAD_TYPE"]);
  assertEquals(await send("[1]"), [400, "BAD_ARGUMENT"]);
  for (const other of ["null", "1", '"x"', "true", ""]) {
    assertEquals(await send(other), [400, "BAD_ARGUMENT"], other);
  }
  assertEquals(await send("{"), [400, "BAD_ARGUMENT"]);
  const noText = Uint8Array.from('{"line":"?"}', (character) => character.charCodeAt(0));
  assertEquals((await send(noText))[0], 200);
  noText[noText.indexOf(0x3f)] = 0xff;
  assertEquals(await send(noText), [400, "BAD_ARGUMENT"]);
  assertEquals(await send(" ".repeat(64 * 1024) + "{}"), [413, "TOO_LARGE"]);
  const hangs = new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(1)),
  });
  const headers = { "content-type": "application/json" };
  const none = new Request("http://localhost/", { method: "POST", headers });
  await assertRejects(() => readJson(none), Error, "the body is not JSON");
  const broken = new ReadableStream({ start: (it) => it.error(new TypeError("reset")) });
  const gone = new Request("http://localhost/", { method: "POST", headers, body: broken });
  await assertRejects(() => readJson(gone), Error, "the body was cut off");
  const slow = new Request("http://localhost/", { method: "POST", headers, body: hangs });
  await assertRejects(() => readJson(slow, { patience: 10 }), Error, "did not arrive within 10 ms");
});
