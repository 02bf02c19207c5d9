/** Servers that share a database give an application to a group whose devices are at several of them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type BoardOptions, ModelBoard } from "../tests/support/model_board.ts";
import { hashOf } from "../tests/support/model_firmware.ts";
import { withPostgres } from "../tests/support/postgres.ts";
import type { Scene } from "../tests/support/scene.ts";
import { codeOf, TwoServers } from "../tests/support/two_servers.ts";
import { until } from "../tests/support/wait.ts";

const wasm = Deno.readFileSync(new URL("../client-as/build/main.wasm", import.meta.url));

const APP = { name: "kitchen", version: 4 };

/** The boards of both servers. */
class Boards implements Disposable {
  readonly all: ModelBoard[] = [];

  constructor(readonly rig: TwoServers) {}

  /** Connects a board, and waits until both servers see it. */
  async plugIn(scene: Scene, id: string, options: BoardOptions = {}): Promise<ModelBoard> {
    const board = new ModelBoard(scene.server.port, id, options);
    this.all.push(board);
    const { near, far } = this.rig;
    for (const { server } of [near, far]) {
      await until(() => server.known(id)?.connected, { what: `both to see ${id}` });
    }
    return board;
  }

  /** Connects a board and removes it, and waits until both servers see it as away. */
  async pass(scene: Scene, id: string): Promise<void> {
    (await this.plugIn(scene, id))[Symbol.dispose]();
    const { near, far } = this.rig;
    for (const { server } of [near, far]) {
      await until(() => !server.known(id)!.connected, { what: `both to see ${id} go` });
    }
  }

  [Symbol.dispose](): void {
    for (const board of this.all) board[Symbol.dispose]();
  }
}

withPostgres("groups at several servers", (server) => {
  const url = () => server().url(server().schema());

  const has = (scene: Scene, phases: Readonly<Record<string, string>>) => {
    const said = () =>
      Object.keys(phases).map((id) => scene.server.known(id)?.deployment?.phase ?? "none");
    return until(() => said().join() === Object.values(phases).join(), {
      what: () => `${JSON.stringify(phases)}, not ${said()}`,
    });
  };

  Deno.test("fleet: a group at two servers gets an application, and both show the progress", async () => {
    await using rig = await TwoServers.start(url());
    using boards = new Boards(rig);
    for (const id of ["a", "b"]) await boards.plugIn(rig.near, id);
    for (const id of ["c", "d"]) await boards.plugIn(rig.far, id);
    const rollout = await rig.far.server.rollOut(["d", "a", "c", "b", "a"], wasm, APP);
    assertEquals([rollout.devices, rollout.step, rollout.name], [
      ["a", "b", "c", "d"],
      1,
      "kitchen",
    ]);
    for (const scene of [rig.near, rig.far]) {
      await has(scene, { a: "kept", b: "kept", c: "kept", d: "kept" });
      const [it] = scene.server.rollouts;
      assertEquals([it!.id, it!.state, it!.devices], [rollout.id, "done", rollout.devices]);
    }
    for (const { firmware } of boards.all) assertEquals(firmware.runs.hash, hashOf(wasm));
  });

  Deno.test("fleet: when a device at one server falls back, those that wait at another one do not start", async () => {
    await using rig = await TwoServers.start(url());
    using boards = new Boards(rig);
    const { near, far } = rig;
    await boards.plugIn(near, "a", { falls: () => "hang" });
    await boards.pass(far, "b");
    await boards.pass(near, "c");
    const rollout = await near.server.rollOut(["a", "b", "c"], wasm, APP);
    for (const scene of [near, far]) {
      await has(scene, { a: "fell_back", b: "stopped", c: "stopped" });
      const it = scene.server.rollouts.find(({ id }) => id === rollout.id)!;
      assertEquals([it.state, it.why], ["stopped", `"a": it hung`]);
    }
    assertEquals(far.server.known("b")!.deployment!.detail, `"a": it hung`);
    const b = await boards.plugIn(far, "b");
    assertEquals(b.firmware.trials, []);
  });

  Deno.test("fleet: the same rollout asked for again joins the first, and any server can give it up", async () => {
    await using rig = await TwoServers.start(url());
    using boards = new Boards(rig);
    const { near, far } = rig;
    await boards.plugIn(near, "a", { trial: 1e6 });
    await boards.pass(near, "b");
    await boards.pass(far, "c");
    const { id } = await far.server.rollOut(["a", "b"], wasm, APP);
    assertEquals((await far.server.rollOut(["b", "a"], wasm, APP)).id, id);
    await has(far, { a: "trial", b: "queued", c: "none" });
    await far.server.giveUpRollout(id);
    await has(near, { a: "given_up", b: "given_up" });
    assertEquals(await codeOf(far.server.giveUpRollout(id + 1)), "BAD_ARGUMENT");
    const other = await far.server.rollOut(["a", "b", "c"], wasm, { ...APP, version: 5 });
    assert(other.id > id);
  });

  Deno.test("fleet: a device that has just moved still counts at its old server, which does not know yet where it is", async () => {
    await using rig = await TwoServers.start(url());
    using boards = new Boards(rig);
    const { near, far } = rig;
    const a = await boards.plugIn(near, "a", { trial: 1e6 });
    await boards.pass(near, "b");
    await near.server.rollOut(["a", "b"], wasm, APP);
    await has(near, { a: "trial", b: "queued" });
    a[Symbol.dispose]();
    boards.all.push(new ModelBoard(far.server.port, "a", { trial: 1e6 }));
    await near.logs("moved");
    await boards.plugIn(near, "b");
    for (const scene of [near, far]) await has(scene, { a: "trial", b: "queued" });
    await far.server.known("a")!.giveUp();
    for (const scene of [near, far]) await has(scene, { a: "given_up", b: "kept" });
    const started = near.log.filter(({ event, device }) => event === "deploy" && device === "b");
    assertEquals(started.slice(0, 2).map(({ code }) => code), ["QUEUED", "WAITS"]);
  });

  Deno.test("fleet: a rollout does not start if another server's device cannot get the application", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin(); // "1" does not support deploys
    using boards = new Boards(rig);
    const { near, far } = rig;
    await boards.pass(near, "a");
    await boards.pass(far, "b");
    assertEquals(await codeOf(far.server.rollOut(["a", "2"], wasm, APP)), "UNKNOWN_DEVICE");
    assertEquals(await codeOf(far.server.rollOut([], wasm, APP)), "BAD_ARGUMENT");
    const step = { ...APP, step: 0 };
    assertEquals(await codeOf(far.server.rollOut(["a"], wasm, step)), "BAD_ARGUMENT");
    assertEquals(await codeOf(far.server.rollOut(["a", "b", "1"], wasm, APP)), "UNSUPPORTED");
    for (const scene of [near, far]) {
      await has(scene, { a: "given_up", b: "given_up", "1": "none" });
    }
    const a = await boards.plugIn(near, "a");
    assertEquals(a.firmware.trials, []);
    assertStringIncludes(far.server.rollouts[0]!.state, "done");
  });
});
