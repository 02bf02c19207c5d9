/** A server that is known by its name, and a resolver that is slow, or fails. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ManualClient, TIMEOUT } from "../../tests/support/manual_client.ts";
import { PeerError } from "./mod.ts";

const NOBODY = new PeerError("NO_ADDRESS", "there is no such host");
const FOUND = ["192.0.2.1", "2001:db8::1"];

function client(): ManualClient {
  return new ManualClient({ host: "server.lan" });
}

Deno.test("an address needs no lookup", async () => {
  await using scene = new ManualClient({ host: "192.0.2.7" });
  assertEquals([scene.machine.lookups.length, scene.machine.sockets.length], [0, 1]);
});

Deno.test("a name that resolves slowly is not a server that does not answer", async () => {
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

Deno.test("what was found is kept while attempts repeat, and looked up again beside them", async () => {
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

Deno.test("a link that was lost is sought where it was, without a lookup", async () => {
  await using scene = client();
  const { machine, told } = scene;
  machine.finds(FOUND);
  machine.socket.events.opened();
  machine.socket.gives("\n");
  machine.socket.events.ended(new PeerError("LOST", "no"));
  machine.passes(TIMEOUT / 4);
  assertEquals([told, machine.sockets.length, machine.lookups.length], [["up", "LOST"], 2, 0]);
});

Deno.test("a name that cannot be looked up is named, and looked up again with pauses", async () => {
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

Deno.test("what is written while a name is looked up waits for the link", async () => {
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
  name: `a real resolver that takes longer than the timeout${
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
