/** A server that is known by its name, and a resolver that is slow, or fails. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ManualClient, TIMEOUT } from "../../tests/support/manual_client.ts";
import { LocalError, PeerError } from "./mod.ts";

const NOBODY = new PeerError("NO_ADDRESS", "there is no host of this name");
const FOUND = ["192.0.2.1", "2001:db8::1"];

function client(): ManualClient {
  return new ManualClient({ host: "server.lan" });
}

Deno.test("an address needs no lookup", async () => {
  await using scene = new ManualClient({ host: "192.0.2.7" });
  assertEquals([scene.machine.lookups.length, scene.machine.sockets.length], [0, 1]);
});

Deno.test("a name that resolves slowly does not count as a server that does not answer", async () => {
  await using scene = client();
  const { machine, told } = scene;
  machine.passes(TIMEOUT - 5);
  assertEquals([told, machine.sockets.length, machine.lookups.length], [[], 0, 1]);
  machine.passes(10 * TIMEOUT);
  assertEquals(told, ["NO_ADDRESS"], "once, and it goes on waiting");
  machine.finds(FOUND);
  assertEquals(machine.socket.options.addresses, FOUND);
  assertEquals(machine.socket.options.hostname, "server.lan", "that is what a certificate says");
  machine.passes(TIMEOUT / 4);
  assertEquals(told, ["NO_ADDRESS"], "the attempt has all its time");
  machine.socket.events.opened();
  machine.socket.gives("\n");
  assertEquals(told, ["NO_ADDRESS", "up"]);
});

Deno.test("a found address is kept while attempts repeat, and looked up again meanwhile", async () => {
  await using scene = client();
  const { machine, told } = scene;
  machine.finds(FOUND);
  machine.passes(3 * TIMEOUT);
  assertEquals(new Set(told), new Set(["NO_ANSWER"]));
  const attempts = machine.sockets.length;
  assert(attempts > 5, `${attempts} attempts`);
  assert(machine.sockets.every(({ options }) => options.addresses === FOUND));
  assertEquals(machine.lookups.length, 1, "one at a time");
  machine.finds(NOBODY);
  machine.passes(TIMEOUT);
  assertEquals(machine.socket.options.addresses, FOUND);
  assertEquals(new Set(told), new Set(["NO_ANSWER"]), "nobody needs it");
  const moved = ["192.0.2.9"];
  machine.finds(moved);
  machine.passes(TIMEOUT);
  assertEquals(machine.socket.options.addresses, moved);
});

Deno.test("after a link is lost, the client tries the same address again, without a lookup", async () => {
  await using scene = client();
  const { machine, told } = scene;
  machine.finds(FOUND);
  machine.socket.events.opened();
  machine.socket.gives("\n");
  machine.socket.events.ended(new PeerError("LOST", "no"));
  machine.passes(TIMEOUT / 4);
  assertEquals([told, machine.sockets.length, machine.lookups.length], [["up", "LOST"], 2, 0]);
});

Deno.test("a name that cannot be looked up is reported, and looked up again with pauses", async () => {
  await using scene = client();
  const { machine, told } = scene;
  let lookups = 0;
  for (let passed = 0; passed < 10 * TIMEOUT; passed += 5) {
    if (machine.lookups.length > 0) {
      lookups++;
      machine.finds(NOBODY);
    }
    machine.passes(5);
  }
  assertEquals(told, Array(lookups).fill("NO_ADDRESS"));
  assert(lookups > 30 && lookups < 90, `${lookups} lookups`);
  assertEquals(machine.sockets.length, 0);
  for (let passed = 0; passed < TIMEOUT && machine.lookups.length === 0; passed += 5) {
    machine.passes(5);
  }
  machine.finds(FOUND);
  machine.passes(TIMEOUT / 2);
  assert(machine.sockets.length > 0);
});

Deno.test("messages written during a name lookup wait for the link", async () => {
  await using scene = client();
  const { machine } = scene;
  const written = scene.client.write("a");
  written.catch(() => {});
  machine.passes(TIMEOUT / 2);
  machine.finds(FOUND);
  machine.socket.events.opened();
  machine.socket.gives("\n");
  await machine.turn();
  assertStringIncludes(machine.socket.text, "00a\n");
});

Deno.test("a client that is closed during a lookup forgets it", async () => {
  const scene = client();
  const [lookup] = scene.machine.lookups;
  await scene.client.close();
  assertEquals([scene.machine.lookups.length, scene.machine.timers], [0, 0]);
  assertEquals(lookup!.hostname, "server.lan");
});

Deno.test("with two addresses, a client tries the other one when one brings no link; after a lost link it tries the same one first", async () => {
  await using scene = new ManualClient({ host: ["192.0.2.7", "192.0.2.8"] });
  const { machine, told } = scene;
  const attempt = (number: number) => {
    while (machine.sockets.length < number) machine.passes(5);
    return machine.socket;
  };
  const [first, second] = [1, 2].map(attempt); // nobody answers
  assertEquals([first, second].map((it) => it!.options.hostname), ["192.0.2.7", "192.0.2.8"]);
  second!.events.opened();
  second!.events.ended(new PeerError("LOST", "something else is there, which greets nobody"));
  attempt(3).events.ended(new PeerError("NO_ANSWER", "turned down"));
  attempt(4).events.opened();
  machine.socket.gives("\n");
  assertEquals(told.at(-1), "up");
  machine.socket.events.ended(new PeerError("LOST", "it is restarted"));
  attempt(5).events.ended(new PeerError("NO_ANSWER", "it is not back yet"));
  attempt(6);
  const tried = machine.sockets.map(({ options }) => options.hostname.at(-1)).join("");
  assertEquals(tried, "787887");
});

Deno.test("each of several addresses may have a port of its own", async () => {
  const host = ["192.0.2.7", "192.0.2.7:9000", "::1", "[::1]:9001", "[2001:db8::1]"];
  await using scene = new ManualClient({ host, port: 8000 });
  const { machine } = scene;
  while (machine.sockets.length < host.length) {
    machine.passes(5);
    if (!machine.socket.closed) machine.socket.events.ended(new PeerError("NO_ANSWER", "no"));
  }
  assertEquals(
    machine.sockets.map(({ options: { hostname, port } }) => [hostname, port]),
    [["192.0.2.7", 8000], ["192.0.2.7", 9000], ["::1", 8000], ["::1", 9001], [
      "2001:db8::1",
      8000,
    ]],
  );
});

Deno.test("each of several names has its own lookup, and one that takes long does not keep the others waiting", async () => {
  await using scene = new ManualClient({ host: ["slow.lan", "server.lan"] });
  const { machine, told } = scene;
  const asked = () => machine.lookups.map(({ hostname }) => hostname);
  machine.passes(TIMEOUT - 5);
  assertEquals([asked(), told], [["slow.lan"], []]);
  while (machine.lookups.length < 2) machine.passes(5);
  assertEquals([asked(), told], [["slow.lan", "server.lan"], ["NO_ADDRESS"]]);
  machine.finds(["192.0.2.9"]); // for slow.lan, when its turn comes again
  assertEquals(machine.sockets.length, 0);
  machine.lookups[0]!.ended(NOBODY);
  while (machine.sockets.length === 0) machine.passes(5);
  const { hostname, addresses } = machine.socket.options;
  assertEquals([hostname, addresses, told], ["slow.lan", ["192.0.2.9"], [
    "NO_ADDRESS",
    "NO_ADDRESS",
  ]]);
});

Deno.test("a name that is still looked up when its turn comes again is waited for as long again", async () => {
  await using scene = new ManualClient({ host: ["slow.lan", "192.0.2.8"] });
  const { machine, told } = scene;
  while (machine.sockets.length === 0) machine.passes(5);
  machine.socket.events.ended(new PeerError("NO_ANSWER", "turned down"));
  while (machine.sockets.length < 2) machine.passes(5);
  assertEquals(told, ["NO_ADDRESS", "NO_ANSWER", "NO_ADDRESS"]);
  assertEquals(machine.lookups.length, 1, "it is asked for once");
});

Deno.test("an invalid server address is refused by name", () => {
  for (
    const [host, message] of [
      [[], "host must be a name or an address, or 1 to 8 of them"],
      [Array.from({ length: 9 }, (_, n) => `10.0.0.${n}`), "1 to 8 of them"],
      [7, "host must be a name"],
      [["10.0.0.2", ""], 'host must be names and addresses, not ""'],
      [["10.0.0.2", 7], "not 7"],
      [["10.0.0.2", "10.0.0.2"], "the same address twice"],
      [["10.0.0.2", "10.0.0.2:8123"], "the same address twice"],
      [["::1", "[::1]:8123"], "the same address twice"],
      ["10.0.0.2:0", "a port of 1 to 65535"],
      ["10.0.0.2:65536", "a port of 1 to 65535"],
      ["10.0.0.2:", "a port of 1 to 65535"],
      ["10.0.0.2:90:90", "a port of 1 to 65535"],
      ["[server.lan]:9000", "a port of 1 to 65535"],
      ["[::1", "a port of 1 to 65535"],
      [":9000", "a port of 1 to 65535"],
    ] as const
  ) {
    const error = assertThrows(() => new ManualClient({ host: host as string[] }), LocalError);
    assertEquals((error as LocalError).code, "BAD_ARGUMENT");
    assertStringIncludes((error as LocalError).message, message);
  }
});

/** A shell in a mount and network namespace of its own, if the machine permits one. */
function inNamespace(...commands: string[]): Deno.Command {
  const args = ["--mount", "--net", "sh", "-ec", commands.join("\n")];
  return new Deno.Command("unshare", { args, env: { NO_COLOR: "1" } });
}

function mayUnshare(): boolean {
  try {
    return Deno.build.os === "linux" && inNamespace("ip link set lo up").outputSync().success;
  } catch {
    return false; // there is no such program
  }
}

const ignore = !mayUnshare();

Deno.test({
  name:
    `a real resolver that takes longer than the timeout is reported, and then the link comes up${
      ignore ? " [needs root, for a namespace]" : ""
    }`,
  ignore,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/resolv.conf`, "nameserver 127.0.0.1\n");
      await Deno.writeTextFile(`${folder}/nsswitch.conf`, "hosts: dns\n");
      const script = new URL("../../tests/support/named_server.ts", import.meta.url).pathname;
      const { code, stdout, stderr } = await inNamespace(
        "ip link set lo up",
        `mount --bind "${folder}/resolv.conf" /etc/resolv.conf`,
        `mount --bind "${folder}/nsswitch.conf" /etc/nsswitch.conf`,
        `exec "${Deno.execPath()}" run -A --no-check "${script}"`,
      ).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assertEquals([text(stdout), code], ["NO_ADDRESS\nup\n", 0], text(stderr));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
