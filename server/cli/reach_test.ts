/** Commands with a real server, over its socket or by URL, and without one: output and exit codes. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { folder, MAIN, Process, run, says, start } from "../../tests/support/main_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { isListening } from "./control.ts";

/** A board that has connected. */
async function board(port: number, id: string): Promise<RawPeer> {
  const peer = await RawPeer.dial(port);
  await peer.say(`${id}\n\n`);
  await until(() => peer.heard.startsWith("\n"));
  return peer;
}

Deno.test("devices, send and tail reach a server by its socket, and print text or JSON", async () => {
  using place = folder();
  const control = `${place.path}/control.sock`;
  const at = ["--control", control];
  // A store in memory has no folder for the socket, so --control names one.
  await using server = new Process([
    ...["serve", "--host", "127.0.0.1", "--port", "0", "--log", "json"],
    ...["--open", "--timeout", "60000", "--connect", "hall%2Flamp/temp=c/d", ...at],
  ]);
  const port = await server.port();
  await until(() => isListening(control));
  assertEquals(Deno.statSync(control).mode! & 0o777, 0o600);
  await using lamp = await board(port, "hall/lamp");
  const [, row] = (await says("devices", ...at)).split("\n").filter((line) => !/^[ac] /.test(line));
  assertMatch(row!, /^hall\/lamp +up +\d{4}-\S+Z +1 +0 +0 +0 +running$/);
  const view = JSON.parse(await says("devices", "hall/lamp", "--json", ...at));
  assertEquals([view.id, view.connected, view.outbox], ["hall/lamp", true, 0]);

  await using tail = new Process(["tail", "hall/lamp", "--event", "reported", "--json", ...at]);
  await using words = new Process(["tail", "--event", "plain_line,reported", ...at]);
  assertEquals(await says("send", "hall/lamp", "-3 degrees", ...at), "accepted\n");
  await until(() => lamp.heard.includes("00-3 degrees\n"));
  await lamp.say("00\n");
  for (let n = 0; tail.stdout === "" || words.stdout === ""; n++) {
    await lamp.say(`${(n % 256).toString(16).padStart(2, "0")}=temp ${n}\n`);
    await lamp.hears(...[n % 256].map((id) => id.toString(16).padStart(2, "0")));
  }
  const told = JSON.parse(tail.stdout.split("\n")[0]!);
  assertEquals([told.event, told.device, told.channel], ["reported", "hall/lamp", "temp"]);
  assertMatch(words.stdout, /^\d{4}-\S+Z reported "hall\/lamp" \{"channel":"temp","value":\d+,/);
  server.kill("SIGTERM");
  assertEquals((await server.ended).code, 0);
  assertEquals(
    [...Deno.readDirSync(place.path)].length,
    0,
    "the socket is removed with its server",
  );
});

Deno.test("tail shows matching messages, and continues when the server is back", async () => {
  using place = folder();
  const at = ["--control", `${place.path}/control.sock`];
  const serve = async () => {
    const server = new Process([
      ...["serve", "--host", "127.0.0.1", "--port", "0", "--log", "json"],
      ...["--open", "--timeout", "60000", "--app", "echo", ...at],
    ]);
    await server.port();
    await until(() => isListening(at[1]!));
    return server;
  };
  const first = await serve();
  await using tail = new Process(["tail", "--messages", "--match", "HALLO", ...at]);
  await using json = new Process(["tail", "1", "--event", "message", "--json", ...at]);
  /** Sends a message again and again until both tails show one. */
  const say = async (server: Process, words: string) => {
    await using peer = await board(await server.port(), "1");
    let n = 0;
    const heard = () => tail.stdout.includes(`Hallo ${words}`) && json.stdout.includes(words);
    for (; !heard(); n++) {
      const id = (n % 256).toString(16).padStart(2, "0");
      await peer.say(`${id}Hallo ${words} ${n}\n`);
      await peer.hears(id);
      // The echoes get no acks: faster messages would fill the queues before the tails listen.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  {
    await using server = first;
    await say(server, "one");
    assertMatch(tail.stdout, /^\S+ message "1" from it: Hallo one \d+$/m);
    assertEquals(/connected/.test(tail.stdout), false, "nothing else matches");
    const { time: _, ...told } = JSON.parse(json.stdout.split("\n")[0]!);
    assertEquals({ ...told, text: "" }, { event: "message", device: "1", way: "in", text: "" });
    server.kill("SIGTERM");
    assertEquals((await server.ended).code, 0);
  }
  await until(() => tail.stderr !== "" && json.stderr !== "");
  await using second = await serve();
  await say(second, "two");
  assertEquals(tail.stderr.split("\n"), [
    "holdfast: the server has ended; waiting for it",
    "holdfast: the server is back",
    "",
  ]);
  const notes = json.stderr.trim().split("\n").map((line) => JSON.parse(line).code);
  assertEquals(notes, ["CLOSED", "BACK"]);
});

Deno.test("send accepts messages while the device is away or the server is down; commands that need a server say so", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  const at = ["--store", store];
  {
    await using server = start("--open", "--timeout", "60000", ...at);
    await using _ = await board(await server.port(), "1");
    server.kill("SIGTERM");
    await server.ended;
  }
  assertEquals(await says("send", "1", "while nobody was here", ...at), "accepted\n");
  assertEquals(JSON.parse(await says("devices", "--json", ...at)).outbox, 1);
  for (const [command, ...args] of [["tail"], ["send", "1", "x", "--wait"], ["request", "1/led"]]) {
    const [code, out, err] = await run(command!, ...args, ...at);
    assertEquals([code, out], [6, ""]);
    assertStringIncludes(err, `no server runs on ${store}: ${command} needs one that does`);
  }
  await using server = start("--open", "--timeout", "60000", ...at);
  const port = await server.port();
  await until(() => isListening(`${store}.sock`));
  const [code, , err] = await run("send", "1", "never", "--no-qos", ...at);
  assertEquals([code, err], [3, 'holdfast: "1" has no link: without qos it is never sent\n']);
  const [late, , why] = await run("send", "1", "soon", "--wait", "--expires", "1", ...at);
  assertEquals([late, why.includes("EXPIRED") || why !== ""], [4, true], why);
  await using one = await board(port, "1");
  await until(() => one.heard.includes("while nobody was here\n"));
  assert(!one.heard.includes("never"));
});

Deno.test("commands by URL use the same API, with the page's rights", async () => {
  await using server = start("--open", "--timeout", "60000", "--web", "0");
  await using _ = await board(await server.port(), "1");
  const { address } = await server.logs("page");
  const at = ["--url", address!];
  assertStringIncludes(await says("devices", ...at), "\n1 ");
  const [code, , err] = await run("clear", "1", "--json", ...at);
  const { code: name } = JSON.parse(err);
  assertEquals([code, name], [6, "READ_ONLY"]);
  const [owns] = await run("backup", "x", ...at);
  assertEquals(owns, 6);
});

Deno.test("wrong arguments and unreachable servers are reported, with their exit code", async () => {
  using place = folder();
  const file = `${place.path}/file`;
  const none = `${place.path}/none.sock`;
  Deno.writeTextFileSync(file, "a b\n");
  const http = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => {
    return new Response("hello");
  });
  const other = `http://127.0.0.1:${http.addr.port}`;
  try {
    for (
      const [code, args, text] of [
        [
          2,
          ["devices", "--store", "a", "--url", "b"],
          "give only one of --store, --control and --url",
        ],
        [2, ["devices", "--store", ":memory:"], "for a server with another store use --control"],
        [2, ["devices", "--url", "localhost:80"], "--url takes http://HOST:PORT"],
        [2, ["devices", "--url", "http://u:p@h"], "--url takes http://HOST:PORT"],
        [2, ["devices", "--url", other, "--token-file", none], "cannot be read"],
        [2, ["devices", "--url", other, "--token-file", file], "is empty: it must hold a token"],
        [
          6,
          ["devices", "--url", other],
          "the server there is not a Holdfast server; it answered 200",
        ],
        [6, ["devices", "--url", "http://127.0.0.1:1"], "cannot be reached"],
        [
          6,
          ["devices", "--control", none],
          `no server listens at ${none}: start one with --control`,
        ],
        [6, ["devices", "--control", file], `no server listens at ${file}`],
        [2, ["devices", "1", "2", "--control", none], "devices takes [ID]"],
        [2, ["send", "1", "--control", none], "send takes ID LINE"],
        [2, ["send", "1", "a", "b", "--control", none], "send takes ID LINE"],
        [2, ["send", "1", "a", "--expires", "soon", "--control", none], "--expires takes ms"],
        [2, ["tail", "--event", "", "--control", none], "--event takes names"],
        [
          2,
          ["frobnicate"],
          "there is no command 'frobnicate'; the commands are serve, devices, top",
        ],
        [2, ["devices", "--sture", "x"], "'--sture'"],
        [
          1,
          ["serve", "--open", "--port", "0", "--control", file],
          "already exists and is not a socket",
        ],
        [1, ["--open", "--port", "0", "--control", `${none}/no/x`], `--control ${none}/no/x: `],
      ] as const
    ) {
      const [ended, , err] = await run(...args);
      assertEquals([args, ended, err.includes(text)], [args, code, true], err);
    }
  } finally {
    await http.shutdown();
  }
  assertEquals(Deno.readTextFileSync(file), "a b\n");
});

Deno.test("a server does not take the socket of another that listens", async () => {
  using place = folder();
  const control = `${place.path}/control.sock`;
  await using server = start("--open", "--control", control);
  await until(() => isListening(control));
  const [code, , err] = await run("--open", "--port", "0", "--control", control);
  assertEquals([code, err.includes("another server listens at")], [1, true], err);
  assertEquals(await says("devices", "--json", "--control", control), "");
  assertEquals(server.log.filter(({ event }) => event === "warning").map(({ code }) => code), [
    "NO_APP",
  ]);
});

Deno.test("the help of every command names its options", async () => {
  const { COMMANDS } = await import("./commands.ts");
  const { helpOf } = await import("./command.ts");
  for (const command of COMMANDS) {
    const help = helpOf(command);
    for (const name of Object.keys(command.options)) assertStringIncludes(help, `--${name}`);
    for (const line of help.split("\n")) assert(line.length <= 120, line);
  }
  const [code, out] = await run("--help");
  assertEquals(code, 0);
  for (const { name } of COMMANDS) assertMatch(out, new RegExp(`^  ${name} `, "m"));
  assertEquals(
    await says("send", "--help"),
    `${helpOf(COMMANDS.find(({ name }) => name === "send")!)}\n`,
  );
});

Deno.test("`deno run server` starts the server too", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "server", "--open", "--port", "65536"],
    cwd: new URL("../../", import.meta.url),
    env: { NO_COLOR: "1" },
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals([code, said.includes("port must be 0 to 65535")], [2, true], said);
});

Deno.test("a token admits a command by URL, with the token's rights", async () => {
  using place = folder();
  const file = `${place.path}/web.json`;
  const tokenFile = (name: string) => `${place.path}/${name}`;
  for (const [name, ...act] of [["looks"], ["acts", "--act"]] as const) {
    Deno.writeTextFileSync(
      tokenFile(name),
      await says("web", "token", name, ...act, "--file", file),
    );
  }
  const web = ["--web", "0", "--web-admin", "--web-password-file", file];
  await using server = start("--open", "--timeout", "60000", ...web);
  await using lamp = await board(await server.port(), "lamp");
  const { address } = await server.logs("page");
  const ask = async (...args: string[]) => {
    const [code, , err] = await run(...args, "--url", address!, "--json");
    return [code, err === "" ? undefined : JSON.parse(err).code];
  };
  assertEquals(await ask("devices"), [6, "NOT_LOGGED_IN"]);
  const [looks, acts] = ["looks", "acts"].map((name) => ["--token-file", tokenFile(name)]);
  assertEquals(await ask("devices", ...looks!), [0, undefined]);
  assertEquals(await ask("send", "lamp", "on", ...looks!), [6, "READ_ONLY"]);
  assertEquals(await ask("send", "lamp", "on", ...acts!), [0, undefined]);
  await until(() => lamp.heard.includes("00on\n"));
  assertEquals(await ask("backup", "x", ...acts!), [6, "NOT_OWNER"]);
  Deno.writeTextFileSync(tokenFile("acts"), "something-else");
  assertEquals(await ask("devices", ...acts!), [6, "BAD_TOKEN"]);
});

toolTest("tail exits when its reader closes the pipe", { bash: "bash" }, async ({ bash }) => {
  using place = folder();
  const at = ["--store", `${place.path}/holdfast.db`];
  await using server = start("--open", "--timeout", "60000", ...at);
  const port = await server.port();
  await until(() => isListening(`${place.path}/holdfast.db.sock`));
  const tail = [Deno.execPath(), "run", "-q", "-A", "--no-check", MAIN, "tail", "--json", ...at];
  const child = new Deno.Command(bash, {
    args: ["-c", 'set -o pipefail; "$@" | head -n 1', "bash", ...tail],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let isDone = false;
  const done = child.output().then((it) => (isDone = true, it));
  await using visitor = await RawPeer.dial(port);
  await visitor.say("visitor\n\n");
  await until(async () => {
    await using other = await RawPeer.dial(port); // causes new events until tail notices
    await other.say("other\n\n");
    await until(() => other.heard.startsWith("\n"));
    return isDone;
  });
  const { code, stdout } = await done;
  assertEquals(code, 0);
  assertEquals(new TextDecoder().decode(stdout).trim().split("\n").length, 1);
});

Deno.test("a server that is stopped does not wait for a command that waits for a device", async () => {
  using place = folder();
  const at = ["--store", `${place.path}/holdfast.db`];
  await using server = start("--open", "--timeout", "60000", ...at);
  await using door = await board(await server.port(), "door");
  await using command = new Process(["request", "door/lock", "--deadline", "600000", ...at]);
  await until(() => door.heard.includes("?lock."));
  server.kill("SIGTERM");
  assertEquals((await server.ended).code, 0);
  assertEquals((await command.ended).code, 1);
  assertStringIncludes(command.stderr, "may or may not have done this");
});
