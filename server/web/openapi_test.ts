/** The API's description is compared with the code: routes, rights, bodies and responses. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { folder } from "../../tests/support/main_process.ts";
import { operationOf, OPERATIONS, wrongAnswer, wrongValue } from "../../tests/support/open_api.ts";
import { ModelBoard } from "../../tests/support/model_board.ts";
import { Scene } from "../../tests/support/scene.ts";
import { until } from "../../tests/support/wait.ts";
import { channels, type Device } from "../mod.ts";
import { apiRoutes } from "./api_routes.ts";
import { Router } from "./routes.ts";
import { NO_HISTORY, Seen } from "./seen.ts";

/** A server with the API; its application fails with every plain line, so that line becomes a dead letter. */
async function begin() {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(folder());
  const app = channels({}, {
    others: { report() {}, event() {} },
    line: () => Promise.reject("no"),
  });
  const limits = { attempts: 1 };
  const store = `${path}/holdfast.db`;
  const scene = stack.use(await Scene.start({ store, app, limits, deadLetters: true }));
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  const routes = apiRoutes(
    scene.server,
    new Seen(scene.server, NO_HISTORY, stop.signal),
    stop.signal,
  );
  const router = new Router(routes);
  const ask = (method: string, path: string, body?: unknown) => {
    const headers = { "content-type": "application/json" };
    const request = new Request(`http://localhost${path}`, {
      method,
      ...(body !== undefined && { headers, body: JSON.stringify(body) }),
    });
    return router.answer(request, { may: "own", address: undefined });
  };
  return { scene, path, routes, ask, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("the description has exactly the routes of the code, with the same rights", async () => {
  await using place = await begin();
  const described = OPERATIONS.map(({ method, path, operation }) =>
    `${method} ${path} ${operation["x-right"]}`
  );
  const there = place.routes.map(({ method, path, needs }) => `${method} ${path} ${needs}`);
  assertEquals(described.sort(), there.sort());
});

Deno.test("the description of each body has exactly the fields that the code accepts", async () => {
  await using place = await begin();
  await place.scene.device("1");
  for (const { method, path, operation } of OPERATIONS) {
    const schema = operation.requestBody?.content["application/json"].schema;
    if (!schema) continue;
    const where = path.replace(":id", "1");
    const message = async (body: object) => {
      const response = await place.ask(method, where, body);
      assertEquals(response.status, 400, where);
      return (await response.json()).message as string;
    };
    const refusal = await message({ nothing: 1 });
    const names = /^there is no field "nothing"; the fields are (.*)$/.exec(refusal)![1]!.split(
      ", ",
    );
    for (const name of names) {
      // The described schema must refuse these, too.
      const wrong = wrongValue(schema, { [name]: 1, nothing: 1 });
      assert(wrong !== undefined, where);
    }
    assert(wrongValue(schema, {}) !== undefined, where);
    const missing = /^the field (\w+) is missing$/.exec(await message({}))![1]!;
    assertStringIncludes(JSON.stringify(componentOf(schema).required), `"${missing}"`);
    assertEquals(Object.keys(componentOf(schema).properties).sort(), names.sort(), where);
  }
});

/** A schema, or the one that its reference points to. */
function componentOf(schema: object): { properties: object; required: string[] } {
  const { $ref } = schema as { $ref?: string };
  if ($ref === undefined) return schema as ReturnType<typeof componentOf>;
  const text = Deno.readTextFileSync(new URL("./openapi.json", import.meta.url));
  return JSON.parse(text).components.schemas[$ref.split("/").pop()!];
}

Deno.test("the real responses of every route match the description", async () => {
  await using place = await begin();
  const { scene, ask } = place;
  const [device, peer] = await scene.device("a/b");
  await peer.say("00=temp 21.5\n01bad\n");
  await until(() => device.deadLetters.length === 1);
  const seen = new Set<string>();
  const check = async (status: number, method: string, path: string, body?: unknown) => {
    const response = await ask(method, path, body);
    const type = response.headers.get("content-type")!;
    const operation = operationOf(method, path.split("?")[0]!);
    if (type === "text/event-stream") {
      await response.body!.cancel();
      seen.add(operation.operation.operationId);
      return;
    }
    const answer = type.startsWith("text/") ? await response.text() : await response.json();
    assertEquals([path, response.status], [path, status], JSON.stringify(answer));
    assertEquals([path, wrongAnswer(operation, status, type, answer)], [path, undefined]);
    seen.add(operation.operation.operationId);
    return answer;
  };
  const at = "/api/devices/a%2Fb";
  await check(200, "GET", "/api/devices");
  await check(200, "GET", at);
  await check(404, "GET", "/api/devices/nobody");
  await check(202, "POST", `${at}/send`, { line: "hello" });
  await check(200, "POST", `${at}/send`, { line: "hello", qos: false });
  await check(400, "POST", `${at}/send`, { line: "a\nb" });
  await check(200, "POST", `${at}/set`, { channel: "led", value: { any: ["thing", null] } });
  await check(200, "GET", `${at}/channels`);
  await check(200, "GET", "/api/channels");
  const answered = check(200, "POST", `${at}/request`, { channel: "led", value: 1 });
  await answer(device, peer);
  await answered;
  await check(504, "POST", `${at}/request`, { channel: "led", deadline: 1 });
  using _board = new ModelBoard(scene.server.port, "board");
  await scene.server.device("board");
  const wasm = await Deno.readFile(new URL("../../client-as/build/main.wasm", import.meta.url));
  const app = { wasm: wasm.toBase64(), name: "kitchen", version: 4 };
  await check(200, "POST", "/api/devices/board/deploy", { ...app, wait: true });
  await check(422, "POST", `${at}/deploy`, app);
  await check(400, "POST", `${at}/deploy`, { ...app, wasm: "!" });
  await check(202, "POST", "/api/devices/board/deploy", app);
  await check(200, "DELETE", "/api/devices/board/deploy");
  const group = { ...app, devices: "boar?", again: true };
  const { id } = await check(202, "POST", "/api/rollouts", group);
  await check(404, "POST", "/api/rollouts", { ...group, devices: "nobody*" });
  await check(422, "POST", "/api/rollouts", { ...group, devices: "a/b" });
  await check(200, "GET", "/api/rollouts");
  await check(200, "GET", `/api/rollouts/${id}`);
  await check(200, "DELETE", `/api/rollouts/${id}`);
  await check(400, "GET", "/api/rollouts/1");
  await check(200, "GET", "/api/apps");
  await check(200, "GET", "/api/devices");
  await check(200, "GET", "/api/dead-letters");
  const { number } = device.deadLetters[0]!;
  await check(200, "POST", `${at}/dead-letters/${number}/revive`);
  const again = await until(() => device.deadLetters[0]);
  await check(200, "DELETE", `${at}/dead-letters/${again.number}`);
  await check(200, "POST", "/api/links", { from: "a%2Fb/x", to: "c/d", map: { on: 1 } });
  await check(200, "GET", "/api/links");
  await check(200, "DELETE", "/api/links?from=a%252Fb%2Fx&to=c%2Fd");
  await check(200, "POST", "/api/backup", { path: `${place.path}/backup.db` });
  await check(200, "GET", "/api/events");
  await check(200, "GET", "/api/log?device=1");
  await check(200, "GET", "/healthz");
  await check(200, "GET", "/metrics");
  await check(200, "GET", "/api/openapi.json");
  await check(200, "POST", `${at}/clear`);
  await check(200, "DELETE", at);
  assertEquals([...seen].sort(), OPERATIONS.map(({ operation }) => operation.operationId).sort());
});

/** The device acknowledges all messages up to the request, and answers the request. */
async function answer(
  device: Device,
  peer: { heard: string; say(text: string): Promise<unknown> },
) {
  let acked = 0;
  let last = -1;
  const tag = await until(async () => {
    for (const [, id, rest] of peer.heard.matchAll(/^([0-9a-f]{2})(.+)$/gm)) {
      if (Number.parseInt(id!, 16) <= last || rest === undefined) continue;
      last = Number.parseInt(id!, 16);
      acked++;
      await peer.say(`${id}\n`);
      const [, tag] = /^\?led\.(\d+)/.exec(rest) ?? [];
      if (tag !== undefined) return tag;
    }
    return undefined;
  });
  assert(acked > 0 && device.connected);
  await peer.say(`02:led.${tag} {"on":true}\n`);
}
