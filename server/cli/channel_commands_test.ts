/** Commands about channels, with a real server: state, set, request and links. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fails, folder, Process, says, start } from "../../tests/support/main_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { until } from "../../tests/support/wait.ts";
import { controlPath, isListening } from "./control.ts";

/** A server on a store, listening for commands. */
async function reachable(store: string, ...args: string[]): Promise<[Process, number]> {
  const process = start("--open", "--timeout", "60000", "--store", store, ...args);
  const port = await process.port();
  await until(() => isListening(controlPath(store)));
  return [process, port];
}

/** A board that has connected. */
async function board(port: number, id: string): Promise<RawPeer> {
  const peer = await RawPeer.dial(port);
  await peer.say(`${id}\n\n`);
  await until(() => peer.heard.startsWith("\n"));
  return peer;
}

/** Waits until a board got this line. */
function hears(peer: RawPeer, text: string): Promise<unknown> {
  return until(() => peer.heard.includes(`${text}\n`), { what: () => `${text} in ${peer.heard}` });
}

Deno.test("--connect links a button to a lamp without code; both boards know only their own channels", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  {
    const [process, port] = await reachable(store, "--connect", "tx/button=rx/led");
    await using _ = process;
    await using tx = await board(port, "tx");
    await using rx = await board(port, "rx");
    await tx.say("00=button 1\n");
    await hears(rx, "00=led.1 1");
    await rx.say("00\n00:led.1 1\n");
    await until(async () => (await says("state", "rx", "--store", store)).includes("met)"));
    assertEquals(await says("links", "--store", store), "tx/button -> rx/led\n");
    assertMatch(
      await says("state", "--store", store),
      /^tx\/button is 1 \(.+Z\)\nrx\/led is 1 \(.+Z\) should be 1 \(link tx\/button, .+Z, met\)\n$/,
    );
    process.kill("SIGTERM");
    await process.ended;
  }
  // The store keeps links without --connect, and without a server.
  await says("connect", "tx/button", "rx/lamp", '{"1": "on", "*": "off"}', "--store", store);
  const [process, port] = await reachable(store);
  await using _ = process;
  await using rx = await board(port, "rx");
  await using tx = await board(port, "tx");
  await hears(rx, "=lamp.1 on"); // the value reported before the link was made
  await says("disconnect", "tx/button", "rx/led", "--store", store);
  await tx.say("01=button 0\n");
  await rx.say("00\n01\n");
  await hears(rx, "=lamp.2 off");
  assertEquals(rx.heard.includes("=led.2"), false);
  assertEquals(
    JSON.parse(await says("links", "--json", "--store", store)),
    { from: "tx/button", to: "rx/lamp", map: { "1": "on", "*": "off" } },
  );
});

Deno.test("state and set work while the server runs and while it is stopped", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  const app = ["--app", "echo", "--connect", "kitchen/temp=hall/temp"]; // makes the server read lines about channels
  {
    const [process, port] = await reachable(store, ...app);
    await using _ = process;
    await using kitchen = await board(port, "kitchen");
    await kitchen.say("00=temp 19.5\n01plain\n");
    await hears(kitchen, "echo plain");
    await kitchen.say("00\n");
    await says("set", "kitchen/target", "21", "--store", store);
    await hears(kitchen, "=target.1 21");
    await kitchen.say("01\n02~target.1 bad_value\n");
    const line = await until(async () => {
      const text = await says("state", "kitchen", "--json", "--store", store);
      const lines = text.trim().split("\n").map((it) => JSON.parse(it));
      return lines.find(({ fault }) => fault === "bad_value");
    });
    const { desiredAt, ...rest } = line;
    assertEquals(rest, {
      device: "kitchen",
      channel: "target",
      desired: 21,
      by: "command",
      met: false,
      fault: "bad_value",
    });
    assertMatch(desiredAt, /^\d{4}-.+Z$/);
    process.kill("SIGTERM");
    await process.ended;
  }
  await says("set", "kitchen/name", "Küche\u009b", "--store", store);
  await says("set", "kitchen/offset", "-3", "--store", store);
  const text = await says("state", "kitchen", "--store", store);
  assertStringIncludes(text, 'kitchen/name should be "Küche\\u009b" (command, ');
  assertStringIncludes(text, "kitchen/offset should be -3 (command, ");
  assertStringIncludes(text, "not met yet)");
  const [process, port] = await reachable(store, ...app);
  await using _ = process;
  await using kitchen = await board(port, "kitchen");
  await hears(kitchen, '=name.1 "Küche\u009b"');
  await kitchen.say(`${kitchen.heard.slice(1, 3)}\n`);
  await hears(kitchen, "=offset.1 -3");
});

Deno.test("request prints the answer; its exit code shows the outcome", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  const [process, port] = await reachable(store, "--connect", "door/bell=hall/lamp");
  await using _ = process;
  await using door = await board(port, "door");
  const ask = async (
    reply: (tag: string) => string,
    ...args: string[]
  ): Promise<[number, string, string]> => {
    const from = door.heard.length;
    await using command = new Process(["request", ...args, "--store", store]);
    const [, id, tag] = await until(() => /(..)\?door\.(\d+)/.exec(door.heard.slice(from)));
    await door.say(`${id}\n${reply(tag!)}`);
    const { code } = await command.ended;
    return [code, command.stdout, command.stderr.split("\n")[0]!];
  };
  assertEquals(await ask((tag) => `00:door.${tag} {"open": true}\n`, "door/door", "open"), [
    0,
    '{"open":true}\n',
    "",
  ]);
  assertStringIncludes(door.heard, " open\n");
  assertEquals(await ask((tag) => `01:door.${tag}\n`, "door/door"), [0, "", ""]);
  assertEquals(await ask((tag) => `02~door.${tag} busy it moves\n`, "door/door"), [
    3,
    "",
    "holdfast: door: busy: it moves",
  ]);
  const [late, , why] = await ask(() => "", "door/door", "--deadline", "5000");
  assertEquals([late, why.includes("did not answer in time")], [5, true], why);
  door.close();
  await process.logs("disconnected");
  const [never, what] = await fails("request", "door/door", "--deadline", "100", "--store", store);
  assertEquals([never, what.includes("never will be")], [4, true], what);
  process.kill("SIGTERM");
  await process.ended;
  const [code, said] = await fails("request", "door/door", "--store", store);
  assertEquals([code, said.includes("no server runs on")], [6, true], said);
});

Deno.test("wrong arguments are reported", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  const [process] = await reachable(store, "--app", "echo");
  await using _ = process;
  for (
    const [args, text] of [
      [["set", "nobody/led", "1", "--store", store], 'connected as "nobody"'],
      [["state", "nobody", "--store", store], 'connected as "nobody"'],
      [["set", "led", "1", "--store", store], "give a device's id, a slash and a channel"],
      [["set", "a/led", "--store", store], "set takes ID/CHANNEL VALUE"],
      [["request", "--store", store], "request takes ID/CHANNEL [VALUE]"],
      [["request", "a/b", "--deadline", "soon", "--store", store], "--deadline takes ms"],
      [["state"], "state needs to know the server: give --store FILE"],
      [["connect", "a/b", "--store", store], "connect takes ID/CHANNEL ID/CHANNEL"],
      [["connect", "a/b", "c/d", "x", "--store", store], "a map must be JSON"],
      [["connect", "a/b", "c/d", "3", "--store", store], "a map of values is an object"],
      [["connect", "a/b", "c/d", "--store", store], "takes all lines itself"],
      [["disconnect", "a/b", "c/d", "--store", store], "there is no link from a/b to c/d"],
      [["links", "--store", "no-such-store.db"], "does not exist"],
      [["--open", "--connect", "a=b"], "--connect takes ID/CHANNEL=ID/CHANNEL, not a=b"],
      [["--open", "--connect", "a/b=c/D"], "a channel is 1 to 32"],
      [["--open", "--port", "0", "--connect", "a/b=a/b"], "a/b cannot be linked to itself"],
    ] as const
  ) {
    await using command = new Process([...args]);
    const { code } = await command.ended;
    assertEquals([code, command.stderr.includes(text)], [2, true], command.stderr);
  }
});
