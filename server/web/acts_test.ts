/** API routes that change something: real requests to a server; the test plays the devices. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { folder } from "../../tests/support/main_process.ts";
import type { RawPeer } from "../../tests/support/raw.ts";
import { Scene } from "../../tests/support/scene.ts";
import { until } from "../../tests/support/wait.ts";
import { channels } from "../mod.ts";
import { apiRouter } from "./api_routes.ts";
import type { LogEvent } from "./log_routes.ts";
import type { Right } from "./routes.ts";

/** Status and body of a response. */
// deno-lint-ignore no-explicit-any
type Answer = [number, any];

interface Place extends AsyncDisposable {
  scene: Scene;
  ask(method: string, path: string, body?: unknown, may?: Right): Promise<Answer>;
  open(path: string): Promise<Response>;
}

/** A server with an application that takes reports and events of channels, and its API. */
async function begin(store = ":memory:"): Promise<Place> {
  const app = channels({}, { others: { report() {}, event() {} } });
  const scene = await Scene.start({ store, app });
  const stop = new AbortController();
  const router = apiRouter(scene.server, stop.signal);
  const send = (path: string, may: Right, init: RequestInit = {}) => {
    return router.answer(new Request(`http://localhost${path}`, init), { may, address: undefined });
  };
  return {
    scene,
    open: (path) => send(path, "look"),
    async ask(method, path, body, may = "act") {
      const response = await send(path, may, {
        method,
        ...(body !== undefined && {
          body: typeof body === "string" ? body : JSON.stringify(body),
          headers: { "content-type": "application/json" },
        }),
      });
      return [response.status, await response.json()];
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await scene[Symbol.asyncDispose]();
    },
  };
}

function hears(peer: RawPeer, text: string): Promise<unknown> {
  return until(() => peer.heard.includes(text), { what: () => `${text} in ${peer.heard}` });
}

Deno.test("the response to a line says whether it was accepted, delivered, sent or not sent", async () => {
  await using place = await begin();
  const { scene, ask } = place;
  const [device, peer] = await scene.device("hall/lamp");
  const path = "/api/devices/hall%2Flamp/send";
  const about = { device: "hall/lamp" };
  assertEquals(await ask("POST", path, { line: "on" }), [202, { ...about, outcome: "accepted" }]);
  await hears(peer, "00on\n");
  await peer.say("00\n");
  const delivered = ask("POST", path, { line: "off", wait: true, expires: 60_000 });
  await hears(peer, "01off\n");
  await peer.say("01\n");
  assertEquals(await delivered, [200, { ...about, outcome: "delivered" }]);
  assertEquals(await ask("POST", path, { line: "now", qos: false }), [
    200,
    { ...about, outcome: "sent" },
  ]);
  peer.close();
  await until(() => !device.connected);
  assertEquals(await ask("POST", path, { line: "now", qos: false }), [
    200,
    { ...about, outcome: "not_sent" },
  ]);
  assertEquals(await ask("POST", path, { line: "later" }), [202, {
    ...about,
    outcome: "accepted",
  }]);
  assertEquals((await ask("GET", "/api/devices/hall%2Flamp"))[1].outbox, 1);
  assertEquals(await ask("POST", "/api/devices/hall%2Flamp/clear"), [
    200,
    { ...about, inbox: 0, outbox: 1 },
  ]);
});

Deno.test("a channel is set; a request returns the device's answer, its fault, or an expired deadline", async () => {
  await using place = await begin();
  const { scene, ask } = place;
  const [, peer] = await scene.device("door");
  assertEquals(await ask("POST", "/api/devices/door/set", { channel: "led", value: 1 }), [
    200,
    { device: "door", channel: "led" },
  ]);
  await hears(peer, "=led.1 1");
  await peer.say("00\n00:led.1 1\n");
  await until(async () => {
    const [, [led]] = await ask("GET", "/api/channels");
    return led.met;
  });
  const [, [{ reportedAt, desiredAt, ...led }]] = await ask("GET", "/api/devices/door/channels");
  assertEquals(led, {
    device: "door",
    channel: "led",
    reported: 1,
    desired: 1,
    by: "web",
    met: true,
  });
  for (const date of [reportedAt, desiredAt]) assert(!Number.isNaN(Date.parse(date)));

  let asked = 0;
  const request = async (reply: string, body: object) => {
    const from = peer.heard.length;
    const answer = ask("POST", "/api/devices/door/request", { channel: "lock", ...body });
    const [, id, tag] = await until(() => /(..)\?lock\.(\d+)/.exec(peer.heard.slice(from)));
    await peer.say(`${id}\n0${++asked}${reply.replace("TAG", tag!)}\n`);
    return await answer;
  };
  const about = { device: "door", channel: "lock" };
  assertEquals(await request(':lock.TAG {"open":true}', { value: "open" }), [
    200,
    { ...about, value: { open: true } },
  ]);
  assertEquals(await request(":lock.TAG", {}), [200, about]);
  assertEquals(await request("~lock.TAG busy it moves", {}), [
    502,
    { code: "FAULT", message: "lock: busy: it moves" },
  ]);
  const [status, { code }] = await ask("POST", "/api/devices/door/request", {
    channel: "lock",
    deadline: 1,
  });
  assertEquals([status, ["EXPIRED", "UNANSWERED", "UNDECIDED"].includes(code)], [504, true], code);
});

Deno.test("after a device is forgotten, every route reports it as unknown", async () => {
  await using place = await begin();
  const { scene, ask } = place;
  await scene.device("1");
  assertEquals(await ask("DELETE", "/api/devices/1"), [200, { device: "1", inbox: 0, outbox: 0 }]);
  for (
    const [method, path] of [
      ["GET", ""],
      ["DELETE", ""],
      ["GET", "/channels"],
      ["POST", "/clear"],
      ["POST", "/send"],
      ["POST", "/set"],
      ["POST", "/request"],
      ["DELETE", "/dead-letters/0"],
    ] as const
  ) {
    const [status, { code }] = await ask(method, `/api/devices/1${path}`);
    assertEquals([path, status, code], [path, 404, "UNKNOWN_DEVICE"]);
  }
});

Deno.test("channels are linked and unlinked", async () => {
  await using place = await begin();
  const { ask } = place;
  const link = { from: "tx/button", to: "rx/led" };
  assertEquals(await ask("POST", "/api/links", { ...link, map: { on: 1 } }), [200, link]);
  assertEquals(await ask("GET", "/api/links"), [200, [{ ...link, map: { on: 1 } }]]);
  const path = "/api/links?from=tx%2Fbutton&to=rx%2Fled";
  assertEquals(await ask("DELETE", path), [200, link]);
  const [status, { code, message }] = await ask("DELETE", path);
  assertEquals([status, code], [400, "BAD_ARGUMENT"]);
  assertStringIncludes(message, "there is no link");
});

Deno.test("only the owner of the server's files can make a backup", async () => {
  using dir = folder();
  await using place = await begin(`${dir.path}/holdfast.db`);
  const body = { path: `${dir.path}/backup.db` };
  const [status, { code }] = await place.ask("POST", "/api/backup", body, "act");
  assertEquals([status, code], [403, "NOT_OWNER"]);
  assertEquals(await place.ask("POST", "/api/backup", body, "own"), [200, body]);
  assert(Deno.statSync(body.path).size > 0);
});

Deno.test("a client with the right to look cannot change anything, and one without rights sees nothing", async () => {
  await using place = await begin();
  const { scene, ask } = place;
  await scene.device("1");
  for (
    const [method, path] of [
      ["POST", "/api/devices/1/send"],
      ["POST", "/api/devices/1/set"],
      ["POST", "/api/devices/1/request"],
      ["POST", "/api/devices/1/clear"],
      ["DELETE", "/api/devices/1"],
      ["POST", "/api/devices/1/dead-letters/0/revive"],
      ["DELETE", "/api/devices/1/dead-letters/0"],
      ["POST", "/api/links"],
      ["DELETE", "/api/links"],
    ] as const
  ) {
    for (const [may, expected] of [["look", 403], ["nothing", 401]] as const) {
      const [status] = await ask(method, path, method === "POST" ? {} : undefined, may);
      assertEquals([path, may, status], [path, may, expected]);
    }
  }
  for (
    const path of [
      "devices",
      "devices/1",
      "devices/1/channels",
      "channels",
      "dead-letters",
      "links",
      "log",
      "events",
    ]
  ) {
    const [status, { code }] = await ask("GET", `/api/${path}`, undefined, "nothing");
    assertEquals([path, status, code], [path, 401, "NOT_LOGGED_IN"]);
  }
  assertEquals(scene.server.devices.length, 1);
});

Deno.test("an invalid body is refused with the reason, and has no effect", async () => {
  await using place = await begin();
  const { scene, ask } = place;
  const [device] = await scene.device("1");
  for (
    const [path, body, text] of [
      ["send", {}, "the field line is missing"],
      ["send", { line: 1 }, "the field line must be of type string"],
      ["send", { line: "a\nb" }, "one line"],
      ["send", { line: "" }, "empt"],
      ["send", { line: "a", expires: -1 }, "expires"],
      ["send", { line: "a", expires: "1" }, "the field expires must be of type number"],
      ["send", { line: "a", qos: false, wait: true }, "without qos is not acknowledged"],
      ["send", { line: "a", qos: null }, "the field qos must be of type boolean"],
      ["send", { line: "a", quos: true }, 'there is no field "quos"; the fields are line, qos'],
      ["send", '{"line":"a","__proto__":{}}', 'there is no field "__proto__"'],
      ["send", "[]", "must be a JSON object"],
      ["send", "", "not JSON"],
      ["set", { channel: "led" }, "the field value is missing"],
      ["set", { channel: "LED", value: 1 }, "LED"],
      ["set", { channel: "led", value: "x".repeat(2000) }, "1024"],
      ["request", { value: 1 }, "the field channel is missing"],
      ["request", { channel: "a", deadline: 0 }, "deadline"],
    ] as const
  ) {
    const [status, { message }] = await ask("POST", `/api/devices/1/${path}`, body);
    assertEquals([status, message.includes(text)], [400, true], `${text}: ${message}`);
  }
  assertEquals(device.outbox, 0);
  assertEquals((await ask("POST", "/api/devices/1/send", { line: "x".repeat(100_000) }))[0], 413);
  assertEquals((await ask("DELETE", "/api/devices/1/dead-letters/x"))[0], 400);
  assertEquals((await ask("POST", "/api/devices/1/dead-letters/7/revive"))[0], 400);
  assertEquals((await ask("POST", "/api/links", { from: "a", to: "b/c" }))[0], 400);
  assertEquals((await ask("POST", "/api/links", { from: "a/b", to: "b/c", map: 3 }))[0], 400);
  assertEquals((await ask("DELETE", "/api/links?from=a"))[0], 400);
});

/** The events of a log stream. */
async function* listen(response: Response): AsyncGenerator<LogEvent> {
  const text = response.body!.pipeThrough(new TextDecoderStream());
  for await (const piece of text) {
    for (const [, data] of piece.matchAll(/^data: (.*)$/gm)) yield JSON.parse(data!);
  }
}

Deno.test("a log stream sends events as they happen, filtered by device and event", async () => {
  await using place = await begin();
  const { scene } = place;
  const log = listen(await place.open("/api/log?device=1&event=reported&event=connected"));
  await scene.device("2");
  const [, peer] = await scene.device("1");
  await peer.say("00=temp 21.5\n");
  const [connected, reported] = [(await log.next()).value, (await log.next()).value];
  assertEquals([connected.event, connected.device], ["connected", "1"]);
  const { event, channel, value } = reported;
  assertEquals([event, channel, value], ["reported", "temp", 21.5]);
  assert(!Number.isNaN(Date.parse(reported.time)));
  await log.return(undefined);
});

Deno.test("a log stream that nobody reads is bounded, and tells its reader later that events are missing", async () => {
  await using place = await begin();
  const { scene } = place;
  const response = await place.open("/api/log?event=keys");
  const emit = (message: string) => scene.server.events.emit({ event: "keys", message });
  for (let n = 0; n < 1500; n++) emit(String(n));
  const log = listen(response);
  let heard = 0;
  for (let next; (next = await log.next()).value.event === "keys";) {
    if (++heard === 900) emit("the last one");
    if (next.value.message === "the last one") {
      throw new Error("no notice about the missing events");
    }
  }
  assert(heard >= 900 && heard <= 1001, `${heard} events`);
  await log.return(undefined);
});

Deno.test("log streams over the limit are refused, until others are closed", async () => {
  await using place = await begin();
  const logs = await Promise.all(Array.from({ length: 64 }, () => place.open("/api/log")));
  const refused = await place.open("/api/log");
  assertEquals([refused.status, (await refused.json()).code], [503, "TOO_MANY_STREAMS"]);
  for (const { body } of logs) await body!.cancel();
  const again = await place.open("/api/log");
  assertEquals(again.status, 200);
  await again.body!.cancel();
});
