/**
 * The npm package as used with Node and without a clone: installed in an empty project with an empty HOME, type-checked
 * by TypeScript's compiler, both ends run by Node.
 *
 * @module
 */
import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { forNode } from "../../bridge/npm/pack.ts";
import { FaultProxy } from "../support/proxy.ts";
import { POSTGRES, Postgres } from "../support/postgres.ts";
import { locate, type Tools, toolTest } from "../support/tools.ts";
import { folder } from "../support/main_process.ts";

const TOOLS = { node: "nodejs", npm: "npm" };
const ROOT = new URL("../../", import.meta.url);
const PROGRAM = new URL("program/", import.meta.url);
const CONFIG = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));

/** A program that takes longer has hung. */
const LIMIT_MS = 180_000;

interface Command {
  program: string;
  cwd: string;
}

/** Starts a program with only the PATH of this machine's environment. */
function spawn({ program, cwd }: Command, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(program, {
    args,
    cwd,
    signal: AbortSignal.timeout(LIMIT_MS),
    clearEnv: true,
    env: { HOME: `${cwd}/home`, PATH: Deno.env.get("PATH") ?? "", NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** The output of a program that must succeed. */
async function output(command: Command, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await spawn(command, ...args).output();
  const [said, wrong] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`${command.program} ${args.join(" ")}: ${wrong}${said}`);
  return said!;
}

/** A server under Node, which prints a line of JSON when it has started. */
class NodeServer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly said: Promise<{ port: number; code?: string; message?: string }>;

  constructor(command: Command, ...args: string[]) {
    this.#child = spawn(command, ...args);
    this.said = this.#read();
  }

  async #read() {
    let text = "";
    for await (const piece of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      text += piece;
      if (text.includes("\n")) return JSON.parse(text);
    }
    throw new Error(`the server said nothing: ${await this.#child.stderr.text()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.said.catch(() => {}); // a test that waits for it gets the error
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended
    }
    await this.#child.status;
    if (!this.#child.stderr.locked) await this.#child.stderr.cancel();
  }
}

toolTest("the npm package works in a project without a clone", TOOLS, async ({ node, npm }, t) => {
  using place = folder();
  const project = `${place.path}/project`;
  await Deno.mkdir(`${project}/home`, { recursive: true });
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "npm", `${place.path}/packed`],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const tarball = new TextDecoder().decode(stdout).trim().split("\n").at(-1)!;
  const here = (program: string) => ({ program, cwd: project });
  for (const name of ["server.ts", "client.ts", "dropping.ts", "world.ts", "tsconfig.json"]) {
    await Deno.copyFile(new URL(name, PROGRAM), `${project}/${name}`);
  }
  await Deno.writeTextFile(`${project}/package.json`, '{ "type": "module" }');

  await t.step("npm installs it", async () => {
    const typescript = ["--save-dev", "typescript@5.9", "@types/node@20"];
    await output(here(npm), "install", "--no-audit", "--no-fund", tarball);
    await output(here(npm), "install", "--no-audit", "--no-fund", ...typescript);
  });

  const installed = `${project}/node_modules/${CONFIG.name}`;
  await t.step("its version and its exports are those of deno.json", async () => {
    const { version, exports, engines } = JSON.parse(
      await Deno.readTextFile(`${installed}/package.json`),
    );
    assertEquals([version, engines], [CONFIG.version, { node: ">=20" }]);
    assertEquals(Object.keys(exports), Object.keys(CONFIG.exports));
  });

  await t.step("TypeScript finds its types", async () => {
    await output(here(node), "node_modules/typescript/bin/tsc");
  });

  await t.step("a wrong type is found", async () => {
    const wrong =
      'import { Server } from "@holdfast/holdfast";\nServer.listen({ port: "8123" });\n';
    await Deno.writeTextFile(`${project}/wrong.ts`, wrong);
    const flags = ["--module", "nodenext", "--noEmit", "--skipLibCheck", "wrong.ts"];
    const error = await assertRejects(
      () => output(here(node), "node_modules/typescript/bin/tsc", ...flags),
      Error,
    );
    assertMatch(error.message, /wrong\.ts\(2,17\): error TS2322/);
  });

  await t.step("both ends exchange messages through connections that are reset", async () => {
    await using server = new NodeServer(here(node), "server.js");
    const target = { port: (await server.said).port };
    let left = 3;
    await using proxy = await FaultProxy.start({
      target,
      onBytes({ direction, bytes }) {
        // Three times an answer is cut off in the middle.
        const text = new TextDecoder().decode(bytes);
        if (direction === "down" && left > 0 && text.includes(`answer to line ${(4 - left) * 7}`)) {
          left--;
          proxy.reset();
        }
      },
    });
    const { answers, connects } = JSON.parse(
      await output(here(node), "client.js", `${proxy.port}`),
    );
    assertEquals(answers, Array.from({ length: 30 }, (_, n) => `answer to line ${n}`));
    assertEquals([connects, left], [4, 0]);
  });

  await t.step("both ends run in a simulated world, the same way each time", async () => {
    const { lines, isSame, steps } = JSON.parse(await output(here(node), "world.js"));
    assertEquals(lines, Array.from({ length: 10 }, (_, n) => `line ${n}`));
    assertEquals([isSame, steps], [true, true]);
  });

  await t.step(
    "a rejected promise that an application drops counts as that application's failure",
    async () => {
      const { code, stdout, stderr } = await spawn(here(node), "dropping.js").output();
      const [said, wrong] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      assertEquals([code, said], [1, "Error: dropped by the application\n"]);
      assertMatch(wrong!, /Error: dropped elsewhere/);
    },
  );

  const { paths, missing } = locate(POSTGRES);
  await t.step({
    name: `a store in PostgreSQL works${missing.length > 0 ? ` [apt install ${missing}]` : ""}`,
    ignore: missing.length > 0,
    async fn() {
      await using postgres = await Postgres.start(paths as Tools<keyof typeof POSTGRES>, []);
      const url = postgres.url(postgres.schema());
      for (let time = 0; time < 2; time++) { // the second one loads what the first has stored
        await using server = new NodeServer(here(node), "server.js", url);
        const { port, message } = await server.said;
        assertEquals(typeof port, "number", message);
        const said = await output(here(node), "client.js", `${port}`);
        assertEquals(JSON.parse(said).answers.length, 30);
      }
    },
  });

  await t.step("a store in SQLite works, or is refused with the remedy", async () => {
    const isThere =
      'console.log("setAuthorizer" in (process.getBuiltinModule?.("node:sqlite")?.DatabaseSync.prototype ?? {}))';
    const has = (await output(here(node), "-e", isThere)).trim() === "true";
    const store = `${project}/kept.db`;
    {
      await using server = new NodeServer(here(node), "server.js", store);
      const { port, code, message } = await server.said;
      if (has) assertEquals(typeof port, "number");
      else {
        assertEquals(code, "STORE_UNUSABLE");
        assertMatch(message!, /^the store ".*kept\.db" .* needs Node 24\.10 or later/);
        await assertRejects(() => Deno.stat(store), Deno.errors.NotFound);
        return;
      }
      assertEquals(JSON.parse(await output(here(node), "client.js", `${port}`)).answers.length, 30);
    }
    await using again = new NodeServer(here(node), "server.js", store);
    assertEquals(typeof (await again.said).port, "number");
  });
});

// esbuild keeps a thread for the next call.
const THREAD = { sanitizeResources: false };

Deno.test("syntax and calls that Node 20 does not know are replaced", THREAD, () => {
  const code = forNode(
    "const { promise } = Promise.withResolvers(); using file = Deno.openSync(path);",
    "../npm/node.js",
  );
  assertMatch(
    code,
    /^import \{ Deno as \$node_Deno, withResolvers as .* from "\.\.\/npm\/node\.js"/,
  );
  assertEquals(
    /Promise\.withResolvers|using file|[^_]Deno\./.test(code.replace(/^import.*$/m, "")),
    false,
  );
});

Deno.test(
  "packing fails if there is a call that Node 20 does not have",
  THREAD,
  () => {
    const error = assertThrows(() => forNode("Deno.serve({});", "./node.js"), Error);
    assertMatch(error.message, /^Deno\.serve is not there under Node/);
    assertThrows(() => forNode("x instanceof Deno.errors.Busy;", "./node.js"), Error, "Busy");
    const iterators = "x.values().some((one) => one); [...y.values()].some((one) => one);";
    const { message } = assertThrows(() => forNode(iterators, "./node.js"), Error);
    assertMatch(message, /^Node 20 does not know \.values\(\)\.some\(\)/);
    forNode(iterators.slice(iterators.indexOf("[")), "./node.js");
  },
);
