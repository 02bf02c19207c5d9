/** The library's links and messages with a real server: an attacker on the path, refusals, deadlines. */
import { assert, assertEquals } from "@std/assert";
import { Server } from "../../server/mod.ts";
import { FaultProxy } from "../support/proxy.ts";
import { Relay } from "../support/relay.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { buildSketch } from "./build.ts";
import { Sketch } from "./sketch.ts";

const GPP = { "g++": "g++" };
/** The link's timeout, in ms. */
const TIMEOUT = 1000;
const KEY = "5a".repeat(32);

/** Builds a sketch of this folder, and removes the program when the test is over. */
async function build(stack: AsyncDisposableStack, gpp: string, name: string): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const program = `${folder}/${name}`;
  await buildSketch(gpp, new URL(`${name}.cpp`, import.meta.url).pathname, program);
  return program;
}

const listen = (keys: [string, string][] = []) =>
  Server.listen({
    hostname: "127.0.0.1",
    port: 0,
    timeout: TIMEOUT,
    ...(keys.length > 0 ? { keys } : { open: true }),
  });

const ups = ({ lines }: Sketch) => lines.filter((line) => line === "up").length;

toolTest(
  "neither board nor server accepts bytes that an attacker injects, and nothing is lost",
  GPP,
  async (tools) => {
    await using stack = new AsyncDisposableStack();
    const program = await build(stack, tools["g++"], "exchange");
    const server = stack.use(await listen([["board", `03:${KEY}`]]));
    const relay = stack.use(new Relay(server.port));
    await using board = new Sketch(program, {
      HOLDFAST_HOSTS: `127.0.0.1:${relay.port}`,
      HOLDFAST_KEY: KEY,
      HOLDFAST_TIMEOUT: `${TIMEOUT}`,
    });
    const device = await server.device("board");
    const heard: string[] = [];
    const hear = async (count: number) => {
      while (count-- > 0) heard.push((await device.readline())!);
    };
    await hear(20);
    for (let links = ups(board); links <= 2; links++) {
      await until(() => ups(board) === links, { what: () => `a link: ${board.story}` });
      // A complete record of an attacker: its tag is wrong.
      await relay.say("toDevice", Uint8Array.of(0, 1, ...new Uint8Array(17)));
      await until(() => ups(board) > links, { what: () => `another link: ${board.story}` });
      await hear(20);
    }
    assert(board.lines.includes("down BAD_SEAL"), board.story);
    await relay.say("toServer", "00unlock the door\n");
    await hear(20);
    const [boot] = heard[0]!.split(" ");
    assertEquals(heard, heard.map((_, n) => `${boot} ${n}`));
    assert(!relay.textOf("toServer").includes(heard[0]!), "an eavesdropper could read it");
  },
);

toolTest(
  "a server that is stopping sends its board to the next address at once; if all do, the board waits",
  GPP,
  async (tools) => {
    await using stack = new AsyncDisposableStack();
    const program = await build(stack, tools["g++"], "exchange");
    const keys: [string, string][] = [["board", `03:${KEY}`]];
    const servers = [stack.use(await listen(keys)), stack.use(await listen(keys))];
    await using board = new Sketch(program, {
      HOLDFAST_HOSTS: servers.map(({ port }) => `127.0.0.1:${port}`).join(),
      HOLDFAST_KEY: KEY,
      HOLDFAST_TIMEOUT: `${TIMEOUT}`,
    });
    const states = () => board.lines.filter((line) => /^(up|down)/.test(line));
    const isOn = async (server: Server) => {
      const device = await server.device("board");
      await device.readline(); // shows that it confirmed the link
    };
    await isOn(servers[0]!);
    const before = performance.now();
    await servers[0]!.sendAway(0);
    await until(() => ups(board) === 2, { what: () => `the other server: ${board.story}` });
    const atOnce = performance.now() - before;
    assert(
      atOnce < 2 * TIMEOUT,
      `${atOnce} ms, and the shortest pause after a refusal is 2 timeouts`,
    );
    await isOn(servers[1]!);
    await servers[1]!.sendAway(0);
    await until(() => states().length === 4, { what: () => `the second refusal: ${board.story}` });
    const refused = performance.now();
    await until(() => states().length > 4, { what: () => `the next attempt: ${board.story}` });
    const pause = performance.now() - refused;
    assert(pause > 1.9 * TIMEOUT, `${pause} ms after both have sent it away`);
    assertEquals(states().slice(0, 4), ["up", "down REFUSED", "up", "down REFUSED"]);
  },
);

toolTest(
  "messages with a deadline expire before a late server starts, and the rest arrive",
  GPP,
  async (tools) => {
    await using stack = new AsyncDisposableStack();
    const program = await build(stack, tools["g++"], "bell");
    const path = stack.use(await FaultProxy.start({ target: { port: 9 } })); // nobody listens on it
    await using board = new Sketch(program, { HOLDFAST_HOSTS: `127.0.0.1:${path.port}` });
    await until(() => board.lines.includes("expired 7"), { what: () => board.story });
    const server = stack.use(await listen());
    path.retarget(server.port);
    const device = await server.device("bell");
    const heard = [await device.readline(), await device.readline()];
    await until(() => board.lines.includes("all decided"), { what: () => board.story });
    assertEquals(heard, ["stays", "long"]);
    assertEquals(board.lines.filter((line) => !line.startsWith("expired")), [
      "written",
      "all decided",
    ]);
  },
);
