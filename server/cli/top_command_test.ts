/** `top` in a real terminal, and through a pipe. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { folder, MAIN, Process, start } from "../../tests/support/main_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { isListening } from "./control.ts";

const HELPER = new URL("../../tests/support/terminal.py", import.meta.url).pathname;

/** A server with devices, and the path of its socket. */
async function begin(...ids: string[]) {
  const stack = new AsyncDisposableStack();
  const control = `${stack.use(folder()).path}/control.sock`;
  const server = stack.use(start("--open", "--timeout", "60000", "--control", control));
  const port = await server.port();
  const peers: RawPeer[] = [];
  for (const id of ids) {
    const peer = stack.use(await RawPeer.dial(port));
    await peer.say(`${id}\n\n`);
    await until(() => peer.heard.startsWith("\n"));
    peers.push(peer);
  }
  await until(() => isListening(control));
  return { server, control, peers, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("through a pipe, top prints one screen, or JSON", async () => {
  await using place = await begin("lamp");
  const at = ["--control", place.control];
  for (const more of [[], ["--json"]]) {
    await using process = new Process(["top", ...more, ...at]);
    assertEquals((await process.ended).code, 0, process.stderr);
    assert(!process.stdout.includes("\x1b"));
    if (more.length > 0) assertEquals(JSON.parse(process.stdout).id, "lamp");
    else assertStringIncludes(process.stdout, "1 devices, 1 up, 0 down");
  }
});

/** A user at a terminal in which `top` runs. */
function sit(python: string, control: string) {
  const child = new Deno.Command(python, {
    args: [
      HELPER,
      "typed",
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      MAIN,
      "top",
      "--control",
      control,
    ],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  let shown = "";
  const read = (async () => {
    for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) shown += piece;
  })();
  return {
    get shown() {
      return shown;
    },
    say: (line: string) => writer.write(new TextEncoder().encode(`${line}\n`)),
    /** The lines of the last complete screen. */
    get picture(): string[] {
      const pictures = shown.split("\x1b[H").filter((text) => text.includes("\x1b[J"));
      return (pictures.at(-1) ?? "").split("\x1b[J")[0]!.split("\r\n").map((line) =>
        line.replaceAll("\x1b[K", "")
      );
    },
    async ended(): Promise<number> {
      const [{ code }] = await Promise.all([child.status, read]);
      await writer.close().catch(() => {});
      return code;
    },
  };
}

toolTest("in a terminal, top updates itself, fits the window, scrolls, and quits with q", {
  python3: "python3",
}, async ({ python3 }) => {
  await using place = await begin(...Array.from({ length: 9 }, (_, n) => `device ${n}`));
  const person = sit(python3, place.control);
  const sees = (test: (lines: string[]) => boolean) =>
    until(() => test(person.picture), { what: () => JSON.stringify(person.picture) });
  await sees((lines) => lines.length === 8 && lines[0]!.startsWith("9 devices, 9 up"));
  assertEquals(person.picture[7], "1-5 of 9; arrows move; q quits");
  assertEquals(person.picture.filter((line) => line.length > 60), []);
  place.peers[6]!.close();
  await sees((lines) =>
    lines[0]!.startsWith("9 devices, 8 up, 1 down") && lines[2]!.startsWith("device 6")
  );
  await person.say(`keys "\\u001b[B"`);
  await sees((lines) => lines[7]!.startsWith("2-6 of 9"));
  await person.say(`keys "\\u001b[6~"`);
  await sees((lines) => lines[7]!.startsWith("5-9 of 9"));
  await person.say(`keys "\\u001b[H"`);
  await sees((lines) => lines[7]!.startsWith("1-5 of 9"));
  await person.say("size 120 20");
  await sees((lines) => lines.length === 20 && lines[0]!.includes("dead letters 0"));
  await person.say(`keys "q"`);
  assertEquals(await person.ended(), 0);
  assert(person.shown.endsWith("\x1b[?1049l"), "the terminal is restored");
});

toolTest(
  "when the server ends, top restores the terminal and says why",
  { python3: "python3" },
  async ({ python3 }) => {
    await using place = await begin("1");
    const person = sit(python3, place.control);
    await until(() => person.picture[0]?.startsWith("1 devices"));
    place.server.kill("SIGKILL");
    assertEquals(await person.ended(), 1);
    assert(
      person.shown.split("\x1b[?1049l")[1]!.includes("the server has ended"),
      JSON.stringify(person.shown.slice(-200)),
    );
  },
);
