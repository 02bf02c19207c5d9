/** Rollouts to a group of devices, some at a time: a real server, and boards whose firmware is a model. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { folder } from "../tests/support/main_process.ts";
import { type BoardOptions, ModelBoard } from "../tests/support/model_board.ts";
import { hashOf } from "../tests/support/model_firmware.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { type Device, LocalError, MemoryStore, type ServerOptions } from "./mod.ts";

const wasm = Deno.readFileSync(new URL("../client-as/build/main.wasm", import.meta.url));
const other = Deno.readFileSync(new URL("../client-as/build/qos.wasm", import.meta.url));

const APP = { name: "kitchen", version: 4 };

/** The codes with which a device's deploy ends. */
const ENDS = ["KEPT", "REFUSED", "FELL_BACK", "GIVEN_UP", "UNSUPPORTED", "STOPPED"];

/** A server and boards, and what has happened to them. */
class Place implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  scene!: Scene;
  readonly boards = new Map<string, ModelBoard>();
  /** Devices in the order in which their turn came; `most` were under way at once. */
  readonly turns: string[] = [];
  most = 0;
  #underWay = new Set<string>();

  static async start(
    boards: Readonly<Record<string, BoardOptions>>,
    options: ServerOptions = {},
  ): Promise<Place> {
    const place = new Place();
    await place.serve(options);
    for (const [id, its] of Object.entries(boards)) place.plugIn(id, its);
    for (const id of place.boards.keys()) await place.device(id);
    return place;
  }

  async serve(options: ServerOptions): Promise<void> {
    this.scene = await Scene.start(options);
    this.#underWay.clear();
    this.scene.server.events.subscribe((event) => {
      if (event.event !== "deploy") return;
      const { device, code } = event;
      if (code === "WAITS") this.turns.push(device);
      if (ENDS.includes(code)) this.#underWay.delete(device);
      else if (code !== "QUEUED") this.#underWay.add(device);
      this.most = Math.max(this.most, this.#underWay.size);
    });
  }

  /** Stops the server and starts another one on its port. */
  async restart(options: ServerOptions): Promise<void> {
    const { port } = this.scene.server;
    await this.scene[Symbol.asyncDispose]();
    await this.serve({ ...options, port });
  }

  plugIn(id: string, options: BoardOptions = {}): ModelBoard {
    const board = this.#stack.use(new ModelBoard(this.scene.server.port, id, options));
    this.boards.set(id, board);
    return board;
  }

  async unplug(id: string): Promise<void> {
    this.boards.get(id)![Symbol.dispose]();
    const device = await this.device(id);
    await until(() => !device.connected);
  }

  device(id: string): Promise<Device> {
    return this.scene.server.device(id);
  }

  /** The phases of the devices. */
  phases(...ids: string[]): string[] {
    return ids.map((id) => this.scene.server.known(id)!.deployment?.phase ?? "none");
  }

  async hasPhases(wanted: Readonly<Record<string, string>>): Promise<void> {
    const ids = Object.keys(wanted);
    const all = () => JSON.stringify(this.phases(...ids));
    await until(() => all() === JSON.stringify(Object.values(wanted)), {
      what: () => `${JSON.stringify(wanted)}, not ${all()}`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    await this.scene[Symbol.asyncDispose]();
  }
}

async function codeOf(promise: Promise<unknown>): Promise<[string, string]> {
  const error = await assertRejects(() => promise, LocalError);
  return [error.code, error.message];
}

Deno.test("a group is given an application in the order of its ids, some at a time", async () => {
  await using place = await Place.start({ "10": {}, "9": {}, "1": {}, "2": {}, roof: {} });
  const { server } = place.scene;
  const rollout = await server.rollOut(["10", "9", "1", "2", "9"], wasm, { ...APP, step: 2 });
  assertEquals(rollout.devices, ["1", "2", "9", "10"]);
  assertEquals([rollout.state, rollout.step, rollout.name], ["runs", 2, "kitchen"]);
  await place.scene.logs("rollout", "DONE");
  assertEquals([place.turns, place.most], [["1", "2", "9", "10"], 2]);
  assertEquals(place.phases("1", "2", "9", "10", "roof"), [
    ...["kept", "kept", "kept", "kept"],
    "none",
  ]);
  assertEquals(server.rollouts.map(({ id, state }) => [id, state]), [[rollout.id, "done"]]);
  assertEquals(server.known("9")!.deployment!.rollout, rollout.id);
});

Deno.test("when one device falls back no further one is begun, even after a restart", async () => {
  using files = folder();
  const store = `${files.path}/holdfast.db`;
  await using place = await Place.start({ a: {}, b: { falls: () => "hang" }, c: {} }, { store });
  { // it was here once
    place.plugIn("d");
    await place.device("d");
    await place.unplug("d");
  }
  const { server } = place.scene;
  await server.rollOut(["a", "b", "c", "d"], wasm, APP);
  await place.hasPhases({ a: "kept", b: "fell_back", c: "stopped", d: "stopped" });
  const { message } = await place.scene.logs("rollout", "STOPPED");
  assertStringIncludes(message!, `1 run it, 2 were not started, because of "b": it hung`);
  assertEquals(server.known("c")!.deployment!.detail, `"b": it hung`);
  await place.restart({ store });
  const [{ state, why, devices }] = place.scene.server.rollouts as [typeof server.rollouts[0]];
  assertEquals([state, why, devices], ["stopped", `"b": it hung`, ["a", "b", "c", "d"]]);
  const board = place.plugIn("d");
  await until(() => place.scene.server.known("d")!.connected && board.up);
  assertEquals(place.phases("a", "b", "c", "d"), ["kept", "fell_back", "stopped", "stopped"]);
  assertEquals([board.firmware.trials, place.boards.get("c")!.firmware.trials], [[], []]);
});

Deno.test("a device that refuses the application, or does not support deploys, stops the rollout", async () => {
  await using place = await Place.start({ a: {}, b: { version: 9 }, c: {} });
  const { server } = place.scene;
  await server.rollOut(["a", "b", "c"], wasm, APP);
  await place.hasPhases({ a: "kept", b: "refused", c: "stopped" });
  const [stock, peer] = await place.scene.device("1 stock");
  peer.close();
  await until(() => !stock.connected);
  await place.unplug("c");
  await server.rollOut(["1 stock", "c"], other, APP);
  await place.hasPhases({ "1 stock": "queued", c: "queued" });
  await place.scene.device("1 stock");
  await place.hasPhases({ "1 stock": "unsupported", c: "stopped" });
});

Deno.test("devices that are away get the application when they connect, no more at once than the step allows", async () => {
  await using place = await Place.start({ a: {}, b: {}, c: {}, d: {} });
  for (const id of ["b", "c", "d"]) await place.unplug(id);
  const { server } = place.scene;
  await server.rollOut(["a", "b", "c", "d"], wasm, APP);
  await place.hasPhases({ a: "kept", b: "queued", c: "queued", d: "queued" });
  assertEquals(server.rollouts[0]!.state, "runs");
  place.plugIn("d", { trial: 100 });
  place.plugIn("b");
  place.plugIn("c", { falls: () => "trap" });
  await until(() => place.scene.codes("rollout").includes("STOPPED"));
  assertEquals(place.most, 1);
  assertEquals(place.phases("a", "c"), ["kept", "fell_back"]);
  assert(["kept", "stopped"].includes(place.phases("b")[0]!));
});

Deno.test("a device that is not heard of again holds up the others, until it is given up or forgotten", async () => {
  await using place = await Place.start({ a: { trial: 1e6 }, b: { trial: 1e6 }, c: {}, d: {} });
  const { server } = place.scene;
  await server.rollOut(["a", "b", "c", "d"], wasm, APP);
  await place.hasPhases({ a: "trial", b: "queued", c: "queued", d: "queued" });
  await place.unplug("a");
  assertEquals(place.phases("a", "b"), ["trial", "queued"]);
  await server.known("a")!.giveUp();
  await place.hasPhases({ a: "given_up", b: "trial", c: "queued" });
  await place.unplug("b");
  await server.forget("b");
  await place.hasPhases({ a: "given_up", c: "kept", d: "kept" });
  const { message } = await place.scene.logs("rollout", "DONE");
  assertStringIncludes(message!, "to 3 devices: 2 run it");
});

Deno.test("a rollout continues where it stood when the server restarts", async () => {
  using files = folder();
  const store = `${files.path}/holdfast.db`;
  const boards = { a: {}, b: { trial: 300 }, c: {}, d: {} };
  await using place = await Place.start(boards, { store, timeout: 4000 });
  const { server } = place.scene;
  const { id } = await server.rollOut(["a", "b", "c", "d"], wasm, APP);
  await place.hasPhases({ a: "kept", b: "trial", c: "queued" });
  await place.restart({ store, timeout: 4000 });
  await place.scene.logs("rollout", "DONE");
  assertEquals(place.scene.server.rollouts.map((it) => [it.id, it.state]), [[id, "done"]]);
  assertEquals([place.turns.slice(0, 2), place.turns.length, place.most], [["a", "b"], 4, 1]);
  for (const { firmware } of place.boards.values()) {
    assertEquals([firmware.trials.length, firmware.runs.hash], [1, hashOf(wasm)]);
  }
});

Deno.test("the same rollout again joins the first; another deploy takes a device out of it; a rollout can be given up", async () => {
  await using place = await Place.start({ a: { trial: 1e6 }, b: {}, c: {}, d: {} });
  const { server } = place.scene;
  const first = await server.rollOut(["a", "b", "c", "d"], wasm, APP);
  await place.hasPhases({ a: "trial", b: "queued", c: "queued", d: "queued" });
  const again = await server.rollOut(["d", "c", "b", "a"], wasm, { ...APP, version: 5 });
  assertEquals([again.id, again.version], [first.id, 4]);
  await server.known("b")!.deploy(wasm, APP);
  assertEquals(server.known("b")!.deployment!.rollout, undefined);
  assertEquals(server.rollouts[0]!.devices, ["a", "c", "d"]);
  const second = await server.rollOut(["d"], other, APP);
  assert(second.id > first.id);
  await place.hasPhases({ a: "trial", b: "kept", c: "queued", d: "kept" });
  await server.giveUpRollout(first.id);
  assertEquals(place.phases("a", "c", "d"), ["given_up", "given_up", "kept"]);
  await server.giveUpRollout(first.id); // nothing is left to give up
  assertEquals((await codeOf(server.giveUpRollout(1)))[0], "BAD_ARGUMENT");
});

Deno.test("a rollout whose only device gets another deploy before it is safe was begun all the same", async () => {
  await using place = await Place.start({ a: {} });
  const { server } = place.scene;
  const [rollout] = await Promise.all([
    server.rollOut(["a"], wasm, APP),
    server.known("a")!.deploy(other, APP),
  ]);
  assertEquals([rollout.devices, rollout.state, server.rollouts], [["a"], "runs", []]);
});

Deno.test("if another server takes a device before the rollout is safe, it fails with FENCED, and the others are given up", async () => {
  for (const [taken, left] of [["a", "b"], ["b", "a"]] as const) {
    const store = new MemoryStore();
    await using place = await Place.start({ a: {}, b: {}, c: {} }, { store });
    const { server } = place.scene;
    await store.acquire(taken);
    const rollout = server.rollOut(["a", "b"], wasm, APP);
    assertEquals([taken, (await codeOf(rollout))[0]], [taken, "FENCED"]);
    assertEquals(place.phases(left, "c"), ["given_up", "none"]);
  }
});

Deno.test("if another server takes a device while a rollout is given up, this fails with FENCED: the device may continue", async () => {
  for (const [taken, left] of [["a", "b"], ["b", "a"]] as const) {
    const store = new MemoryStore();
    const boards = { a: { trial: 1e6 }, b: { trial: 1e6 } };
    await using place = await Place.start(boards, { store });
    const { server } = place.scene;
    const { id } = await server.rollOut(["a", "b"], wasm, { ...APP, step: 2 });
    await place.hasPhases({ a: "trial", b: "trial" });
    await store.acquire(taken);
    assertEquals([taken, (await codeOf(server.giveUpRollout(id)))[0]], [taken, "FENCED"]);
    assertEquals(place.phases(left), ["given_up"]);
  }
});

Deno.test("a device that another server takes just when its deploy ends, unsafely, still holds up its group", async () => {
  const store = new MemoryStore();
  await using place = await Place.start({ a: { trial: 1e6 }, b: {} }, { store });
  const { server } = place.scene;
  await server.rollOut(["a", "b"], wasm, APP);
  await place.hasPhases({ a: "trial", b: "queued" });
  for (const end of ["replaced", "given up"]) {
    await store.acquire("a");
    const a = server.known("a")!;
    const ended = end === "replaced" ? a.deploy(other, APP) : a.giveUp();
    assertEquals([end, (await codeOf(ended))[0]], [end, "FENCED"]);
    await until(() => server.known("a")?.connected, { what: "a to come back" });
    assertEquals([end, ...place.phases("a", "b")], [end, "trial", "queued"]);
  }
  assertEquals(place.scene.codes("deploy").includes("GIVEN_UP"), false); // it never was
  await server.known("a")!.giveUp();
  await place.hasPhases({ a: "given_up", b: "kept" });
});

Deno.test("while another server has a device of a group, its deploy counts as it was last safe here", async () => {
  const store = new MemoryStore();
  await using place = await Place.start({ a: { trial: 1e6 }, b: {} }, { store });
  const { server } = place.scene;
  await place.unplug("b");
  await server.rollOut(["a", "b"], wasm, APP);
  await place.hasPhases({ a: "trial", b: "queued" });
  await place.unplug("a");
  await store.acquire("a");
  assertEquals((await codeOf(server.known("a")!.giveUp()))[0], "FENCED");
  place.plugIn("b");
  await until(() => server.known("b")!.connected);
  assertEquals([server.known("a"), ...place.phases("b")], [undefined, "queued"]);
  place.plugIn("a"); // it fell back meanwhile, or was flashed: it is offered it again
  await until(() => server.known("a"), { what: "a to come back" });
  await place.hasPhases({ a: "kept", b: "kept" });
  assertEquals(place.most, 1);
});

Deno.test("an impossible rollout is refused before any of its devices is begun", async () => {
  await using place = await Place.start({ a: {}, b: { falls: () => "trap" } });
  const { server } = place.scene;
  await assertRejects(() => server.known("b")!.deploy(wasm, APP));
  await place.scene.device("stock");
  const html = new TextEncoder().encode("<html>");
  for (
    const [code, ids, bytes, options] of [
      ["BAD_ARGUMENT", [], wasm, APP],
      ["BAD_ARGUMENT", ["a"], html, APP],
      ["BAD_ARGUMENT", ["a"], wasm, { ...APP, name: "" }],
      ["BAD_ARGUMENT", ["a"], wasm, { ...APP, version: -1 }],
      ["BAD_ARGUMENT", ["a"], wasm, { ...APP, step: 0 }],
      ["BAD_ARGUMENT", ["a"], wasm, { ...APP, step: 1.5 }],
      ["UNKNOWN_DEVICE", ["a", "nobody"], wasm, APP],
      ["UNSUPPORTED", ["a", "stock"], wasm, APP],
      ["DEPLOY_REFUSED", ["a", "b"], wasm, APP],
    ] as const
  ) assertEquals([ids, (await codeOf(server.rollOut(ids, bytes, options)))[0]], [ids, code]);
  assertEquals([place.phases("a"), server.rollouts], [["none"], []]);
  await server.rollOut(["a", "b"], wasm, { ...APP, again: true });
  await place.hasPhases({ a: "kept", b: "fell_back" });
  await server.close();
  assertEquals((await codeOf(server.rollOut(["a"], wasm, APP)))[0], "CLOSED");
});
