/** `holdfast deploy` and `apps`, with a real server and boards with simulated firmware. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fails, folder, Process, says, start } from "../../tests/support/main_process.ts";
import { type BoardOptions, ModelBoard } from "../../tests/support/model_board.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { until } from "../../tests/support/wait.ts";
import { controlPath, isListening } from "./control.ts";
import { barOf } from "./deploy_view.ts";

const FILE = new URL("../../client-as/build/main.wasm", import.meta.url).pathname;

/** A server with boards that have connected. */
async function begin(boards: Readonly<Record<string, BoardOptions>>) {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(folder());
  const store = `${path}/holdfast.db`;
  const process = stack.use(start("--open", "--timeout", "60000", "--store", store));
  const port = await process.port();
  await until(() => isListening(controlPath(store)));
  const all = Object.entries(boards).map(([id, options]) =>
    stack.use(new ModelBoard(port, id, options))
  );
  await until(() => all.every(({ up }) => up));
  return { store, port, boards: all, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("a group gets another application in steps, and `apps` lists what each device runs", async () => {
  await using place = await begin({ "hall/1": {}, "hall/2": {}, "hall/3": {}, roof: {} });
  const { store, boards } = place;
  const args = ["--version", "7", "--store", store];
  const said = await says("deploy", "hall/*", FILE, "--step", "2", ...args);
  assertMatch(said, /^(hall\/[123] kept main\/7\/[\w-]{8}\n){3}$/);
  assertEquals(boards.map(({ firmware }) => firmware.runs.version), [7, 7, 7, 3]);
  assertEquals(boards.map(({ firmware }) => firmware.trials.length), [1, 1, 1, 0]);
  const apps = (await says("apps", "--store", store)).split("\n");
  assertMatch(apps[0]!, /^id +link +runs +deployed +phase +since$/);
  assertMatch(apps[1]!, /^hall\/1 +up +main\/7\/\S+ +main\/7\/\S+ +kept +\S+Z$/);
  assertMatch(apps[4]!, /^roof +up +kitchen\/3\/\S+ +- +- +-$/);
  const [roof] = JSON.parse(`[${await says("apps", "roof", "--json", "--store", store)}]`);
  assertEquals([roof.device, roof.runs.name, roof.deploy], ["roof", "kitchen", undefined]);
  const again = await says("deploy", "hall/?", FILE, "--json", ...args);
  const phases = again.trim().split("\n").map((line) => JSON.parse(line).deploy.phase);
  assertEquals(phases, ["kept", "kept", "kept"]);
  assertEquals(boards[0]!.firmware.trials.length, 1, "it already runs this application");
});

Deno.test("a rollout stops when one device has fallen back", async () => {
  await using place = await begin({
    a: {},
    b: { falls: () => "hang" },
    c: {},
    d: {},
  });
  const { store, boards } = place;
  await using process = new Process(["deploy", "*", FILE, "--store", store]);
  assertEquals((await process.ended).code, 3);
  const { stdout, stderr: said } = process;
  assertMatch(stdout, /^a kept main\/\S+\n$/);
  assertStringIncludes(said, `"b": it hung; 2 more were not started`);
  const apps = await says("apps", "--store", store);
  assertMatch(apps, /^b .* fell_back hang /m);
  assertMatch(apps, /^d .* stopped "b": it hung /m);
  assertEquals(boards.map(({ firmware }) => firmware.trials.length), [1, 1, 0, 0]);
  const [again, why] = await fails("deploy", "b", FILE, "--store", store);
  assertEquals(again, 3);
  assertStringIncludes(why, "use `again` to try them once more");
});

Deno.test("a rollout continues after its server is killed and restarted, and the same command follows it", async () => {
  using files = folder();
  const store = `${files.path}/holdfast.db`;
  const serve = (port: string) =>
    new Process([
      ...["--host", "127.0.0.1", "--port", port, "--log", "json", "--open", "--store", store],
      ...["--timeout", "4000"],
    ]);
  await using first = serve("0");
  const port = await first.port();
  await until(() => isListening(controlPath(store)));
  using boards = new DisposableStack();
  const all = ["a", "b", "c", "d"].map((id) =>
    boards.use(new ModelBoard(port, id, { timeout: 4000, trial: id === "b" ? 500 : 20 }))
  );
  await until(() => all.every(({ up }) => up));
  const args = ["deploy", "*", FILE, "--store", store];
  await using command = new Process(args);
  await until(() => all[1]!.firmware.onTrial);
  first.kill("SIGKILL");
  await first.ended;
  assertEquals((await command.ended).code, 1);
  assertMatch(command.stdout, /^a kept main\/\S+\n$/);
  assertStringIncludes(command.stderr, "the deploy continues when the server is back");
  await using _second = serve(`${port}`);
  await until(() => isListening(controlPath(store)));
  await until(() => all.every(({ up }) => up)); // devices that are away would stay queued
  const said = await says(...args);
  assertMatch(said, /^([abcd] kept main\/\S+\n){4}$/);
  assertEquals(all.map(({ firmware }) => firmware.trials.length), [1, 1, 1, 1]);
});

Deno.test("progress can be watched; a device that is away gets the application when it connects", async () => {
  await using place = await begin({ roof: {} });
  const { store, port } = place;
  {
    using gone = new ModelBoard(port, "shed");
    await until(() => gone.up);
  }
  await until(async () => (await says("apps", "shed", "--store", store)).includes("down"));
  const args = ["--name", "new", "--version", "9", "--store", store];
  const said = await says("deploy", "*", FILE, "--watch", ...args);
  assertMatch(said, /^roof {2}\[#+\.*\] +\d+ % {2}sending$/m);
  assertMatch(said, /^roof kept new\/9\/[\w-]{8}$/m);
  assertMatch(said, /^shed queued new\/9\/[\w-]{8}$/m);
  using shed = new ModelBoard(port, "shed");
  await until(() => shed.firmware.runs.version === 9 && !shed.firmware.onTrial);
});

Deno.test("unfinished deploys of a group can be given up", async () => {
  await using place = await begin({ a: { trial: 1e6 }, b: {}, c: {} });
  const { store, boards } = place;
  await using command = new Process(["deploy", "*", FILE, "--store", store]);
  await until(() => boards[0]!.firmware.onTrial);
  const said = await says("deploy", "*", "--give-up", "--store", store);
  assertMatch(said, /^([abc] given up main\/\S+\n){3}$/);
  assertEquals((await command.ended).code, 0, command.stderr);
  assertEquals(boards.map(({ firmware }) => firmware.trials.length), [1, 0, 0]);
  assertEquals(
    await says("deploy", "?", "--give-up", "--store", store),
    "",
    "there is nothing to give up",
  );
});

Deno.test("a deploy that is impossible is reported, with its exit code", async () => {
  await using place = await begin({ roof: {} });
  const { store, port } = place;
  await using peer = await RawPeer.dial(port);
  await peer.say("stock\n\n");
  await until(() => peer.heard.startsWith("\n"));
  using files = folder();
  const bad = `${files.path}/bad.wasm`;
  await Deno.writeTextFile(bad, "<html>");
  for (
    const [args, expected, why] of [
      [["stock", FILE], 3, "does not support deploys"],
      [["roof", FILE, "--version", "2"], 3, "lower than the running one's"],
      [["roof", bad], 2, "not a WebAssembly module"],
      [["roof", `${files.path}/none.wasm`], 2, "cannot be read"],
      [["nobody", FILE], 2, `no device that the server knows is called "nobody"`],
      [["roof"], 2, "deploy takes ID|PATTERN FILE.wasm"],
      [["roof", FILE, "--give-up"], 2, "deploy takes ID|PATTERN FILE.wasm"],
      [["nobody", "--give-up"], 2, `no device that the server knows is called "nobody"`],
      [["roof", FILE, "--step", "0"], 2, "--step takes a number"],
      [["roof", FILE, "--name", "a b"], 2, "--name takes"],
      [["roof", FILE, "--version", "x"], 2, "--version takes"],
    ] as const
  ) {
    const [code, said] = await fails("deploy", ...args, "--store", store);
    assertEquals([args, code], [args, expected], said);
    assertStringIncludes(said, why);
  }
});

Deno.test("the length of a progress bar shows how much has arrived", () => {
  const deploy = {
    name: "new",
    version: 9,
    hash: "47DEQpj8",
    phase: "sending",
    size: 1000,
    arrived: 500,
    begun: "",
    since: "",
  } as const;
  assertEquals(
    barOf("roof", deploy, 6),
    `roof    [${"#".repeat(15)}${".".repeat(15)}]  50 %  sending`,
  );
  const fell = { ...deploy, arrived: 0, phase: "fell_back", reason: "trap" } as const;
  assertEquals(barOf("roof", fell, 4), `roof  [${".".repeat(30)}]   0 %  fell back (trap)`);
});
