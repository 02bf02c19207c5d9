/** A server that is about to stop sends its devices away, and a client that knows several addresses. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  formatRefusal,
  formatWelcome,
  parseHello2,
  Refusal,
} from "../../server/protocol/greeting.ts";
import { ManualClient, type TestSocket, TIMEOUT } from "../../tests/support/manual_client.ts";
import type { LocalError, PeerError } from "./mod.ts";

const AWAY = formatRefusal(Refusal.leaving);
const FIRST = "192.0.2.7";
const SECOND = "192.0.2.8";

class Scene extends ManualClient {
  readonly reasons: string[];

  constructor(host: string[]) {
    const reasons: string[] = [];
    const onState = (_: boolean, reason?: PeerError | LocalError) =>
      void (reason && reasons.push(reason.message));
    super({ host, dialect: 2, onState });
    this.reasons = reasons;
  }

  /** The server at the address sought now lets the client in. */
  async welcomes(): Promise<void> {
    const { machine, machine: { socket } } = this;
    socket.events.opened();
    await machine.turn();
    const hello = parseHello2(socket.text.split("\n")[0]!);
    const greeting = {
      txEpoch: 0xd0000001,
      txFirst: 0,
      rxEpoch: hello.txEpoch,
      rxNext: hello.txFirst,
      window: 64,
      bytes: 65_536,
      line: 16_384,
    };
    socket.gives(`${formatWelcome(0, greeting, "d1".repeat(16))}\n\n`);
    await machine.turn();
    assert(this.client.connected);
  }

  /** The address that the client tries next within this time, in ms; undefined if it tries none. */
  async soughtAfter(ms: number): Promise<string | undefined> {
    const before = this.machine.sockets.length;
    for (let passed = 0; passed < ms && this.machine.sockets.length === before; passed += 5) {
      this.machine.passes(5);
      await this.machine.turn();
    }
    const { sockets } = this.machine;
    return sockets.length === before ? undefined : sockets.at(-1)!.options.hostname;
  }
}

/** At once, and no sooner than after half of the pause that follows a refusal. */
const AT_ONCE = 10;
const WAITS = 2 * TIMEOUT - 50;

function sendsAway({ events }: TestSocket): void {
  events.data(new TextEncoder().encode(AWAY));
}

Deno.test("a client that is sent away goes to its next address at once, and loses nothing", async () => {
  await using scene = new Scene([FIRST, SECOND]);
  await scene.welcomes();
  const written = scene.client.write("a");
  await scene.machine.turn();
  sendsAway(scene.machine.socket);
  assertEquals(await scene.soughtAfter(AT_ONCE), SECOND);
  assertStringIncludes(scene.reasons[0]!, "sends its devices to their next address");
  await scene.welcomes();
  assertStringIncludes(scene.machine.socket.text, "00a\n");
  scene.machine.socket.gives("00\n");
  assertEquals(await written, true);
});

Deno.test("a client that knows one address waits as after any refusal", async () => {
  await using scene = new Scene([FIRST]);
  await scene.welcomes();
  sendsAway(scene.machine.socket);
  assertEquals(await scene.soughtAfter(WAITS), undefined);
  assertEquals(await scene.soughtAfter(WAITS + 100), FIRST);
});

Deno.test("servers that send a client to one another do not have it run in circles", async () => {
  await using scene = new Scene([FIRST, SECOND]);
  await scene.welcomes();
  sendsAway(scene.machine.socket);
  assertEquals(await scene.soughtAfter(AT_ONCE), SECOND);
  await scene.welcomes();
  sendsAway(scene.machine.socket);
  assertEquals(await scene.soughtAfter(WAITS), undefined, "both have sent it away");
  assertEquals(await scene.soughtAfter(WAITS + 100), FIRST);
});

Deno.test("a client that was served for the timeout goes at once when it is sent away again", async () => {
  await using scene = new Scene([FIRST, SECOND]);
  for (const next of [SECOND, FIRST, SECOND]) {
    await scene.welcomes();
    for (let passed = 0; passed < TIMEOUT; passed += 100) {
      scene.machine.passes(100);
      scene.machine.socket.gives("\n");
    }
    sendsAway(scene.machine.socket);
    assertEquals(await scene.soughtAfter(AT_ONCE), next);
  }
});

Deno.test("a client that is sent away in answer to its hello goes to the next address, too", async () => {
  await using scene = new Scene([FIRST, SECOND]);
  scene.machine.socket.events.opened();
  await scene.machine.turn();
  sendsAway(scene.machine.socket);
  assertEquals(await scene.soughtAfter(AT_ONCE), SECOND);
});

Deno.test("after any other refusal a client waits, even if it knows another address", async () => {
  await using scene = new Scene([FIRST, SECOND]);
  scene.machine.socket.events.opened();
  await scene.machine.turn();
  scene.machine.socket.gives(formatRefusal(Refusal.full));
  assertEquals(await scene.soughtAfter(WAITS), undefined);
  assertEquals(await scene.soughtAfter(WAITS + 100), SECOND);
});
