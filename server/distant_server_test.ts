/** Servers that share a database: what one of them does with devices of another one. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Client } from "../bridge/host/mod.ts";
import { withPostgres } from "../tests/support/postgres.ts";
import { codeOf, TwoServers } from "../tests/support/two_servers.ts";
import { until } from "../tests/support/wait.ts";
import { Tallies } from "./web/tallies.ts";
import { type App, channels } from "./mod.ts";

withPostgres("devices of another server", (server) => {
  const url = () => server().url(server().schema());

  Deno.test("fleet: a message that another server has written arrives, and its writer learns when", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin();
    const device = await rig.far.server.device("1");
    const written = device.write("hello");
    assertEquals(await rig.client.readline(), "hello");
    void rig.client.readline().catch(() => {}); // the next read acknowledges the first message
    assertEquals(await written, true);
    assertEquals(await codeOf(device.write("")), "BAD_TEXT");
    assertEquals(await codeOf(device.write("x", { expires: 0 })), "BAD_ARGUMENT");
  });

  Deno.test("fleet: a message in a transaction arrives, but not if the transaction fails", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin();
    const { far, client } = rig;
    await far.server.transaction((tx) => {
      tx.run("CREATE TABLE said (line TEXT)");
      tx.run("INSERT INTO said VALUES (?)", "one");
      tx.write("1", "one");
    });
    const failing = far.server.transaction((tx) => {
      tx.write("1", "never");
      tx.run("INSERT INTO nowhere VALUES (1)");
    });
    await assertRejects(() => failing);
    await far.server.transaction((tx) => tx.write("1", "two"));
    assertEquals([await client.readline(), await client.readline()], ["one", "two"]);
    const unknown = far.server.transaction((tx) => tx.write("2", "x"));
    assertEquals(await codeOf(unknown), "UNKNOWN_DEVICE");
    assertEquals(await codeOf(far.server.transaction((tx) => tx.fence("1"))), "FENCED");
    assertEquals(await codeOf(far.server.transaction((tx) => tx.fence("2"))), "UNKNOWN_DEVICE");
  });

  Deno.test("fleet: a message that waits for a device is settled, whichever server has the device by then", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin();
    const { far, near, client } = rig;
    const device = await far.server.device("1");
    await client.close();
    await until(() => !device.connected, {
      what: "the other server to see that the device is away",
    });
    assertEquals(await device.write("at once", { qos: false }), false);
    assertEquals(await codeOf(device.write("late", { expires: 100 })), "EXPIRED");
    const dropped = device.write("dropped");
    await until(() => near.server.known("1")!.outbox === 1, { what: "the message to wait" });
    await (await near.server.device("1")).clear();
    assertEquals(await codeOf(dropped), "CLEARED");
    const written = device.write("kept");
    await until(() => near.server.known("1")!.outbox === 1, { what: "the message to wait" });
    await near.server.close();
    rig.client = new Client({ id: "1", port: far.server.port });
    assertEquals(await rig.client.readline(), "kept");
    void rig.client.readline().catch(() => {});
    assertEquals(await written, true);
  });

  Deno.test("fleet: a writer whose device moves meanwhile learns the outcome at the new server", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin();
    const { far, near, client } = rig;
    const device = await near.server.device("1");
    await client.close();
    const written = device.write("kept");
    await until(() => far.server.known("1")!.outbox === 1, { what: "the message to be safe" });
    rig.client = new Client({ id: "1", port: far.server.port });
    await until(() => near.codes("moved").length === 1, { what: "the move" });
    assertEquals(await rig.client.readline(), "kept");
    void rig.client.readline().catch(() => {});
    assertEquals(await written, true);
    assertEquals(await codeOf(device.write("x")), "FENCED", "the device is no longer here");
  });

  Deno.test("fleet: an application that still waits when its device has moved ends with its server, and has not failed", async () => {
    const app: App = async (_, server) => void await server.device("never");
    await using rig = await TwoServers.start(url(), { app });
    await rig.begin();
    await rig.client.close();
    rig.client = new Client({ id: "1", port: rig.far.server.port });
    await until(() => rig.near.codes("moved").length === 1, { what: "the move" });
    await rig.near.server.close();
    await until(() => rig.near.codes("closed").length === 1, { what: "the server to close" });
    assertEquals(rig.near.codes("app_failed"), []);
  });

  Deno.test("fleet: a message posted for a device that is forgotten rejects", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin();
    const { far, near, client } = rig;
    const device = await far.server.device("1");
    await client.close();
    const written = codeOf(device.write("x"));
    await until(() => near.server.known("1")!.outbox === 1, { what: "the message to wait" });
    await near.server.forget("1");
    assertEquals(await written, "FORGOTTEN");
    await until(() => !far.server.known("1"), { what: "the other server to drop the device" });
    assertEquals(far.server.devices, []);
  });

  Deno.test("fleet: any server can forget a device, and gets the number of dropped messages", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin();
    const { far, near, client } = rig;
    assertEquals(await codeOf(far.server.forget("2")), "UNKNOWN_DEVICE");
    await client.write("from it");
    await client.close();
    const device = await far.server.device("1");
    const written = codeOf(device.write("x"));
    await until(() => near.server.known("1")!.outbox === 1, { what: "the message to wait" });
    assertEquals(await far.server.forget("1"), { inbox: 1, outbox: 1 });
    assertEquals(await written, "FORGOTTEN");
    await until(() => !near.server.known("1"), { what: "its server to drop the device" });
    assertEquals(near.codes("forgotten").length, 1);
    await until(() => !far.server.known("1"), { what: "the other server to drop the device" });
    rig.client = new Client({ id: "1", port: near.server.port });
    await until(() => near.server.known("1")?.connects === 1, { what: "a new device" });
  });

  Deno.test("fleet: any server can clear a device, including mail that waits for room there", async () => {
    await using rig = await TwoServers.start(url(), { limits: { outbox: 2 } });
    await rig.begin();
    const { far, near, client } = rig;
    await client.write("from it");
    await client.close();
    const device = await far.server.device("1");
    const written = ["a", "b", "no room"].map((text) => codeOf(device.write(text)));
    await until(() => near.server.known("1")!.outbox === 2, { what: "the messages to wait" });
    assertEquals(await device.clear(), { inbox: 1, outbox: 2 });
    assertEquals(await Promise.all(written), ["CLEARED", "CLEARED", "CLEARED"]);
    assertEquals(await device.clear(), { inbox: 0, outbox: 0 });
    assertEquals([near.server.known("1")!.inbox, near.server.known("1")!.outbox], [0, 0]);
    const kept = device.write("kept");
    rig.client = new Client({ id: "1", port: near.server.port });
    assertEquals(await rig.client.readline(), "kept");
    void rig.client.readline().catch(() => {});
    assertEquals(await kept, true);
  });

  Deno.test("fleet: an order for a device without a server is carried out by the server that adopts it", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin();
    const { far, near, client } = rig;
    await client.write("from it");
    await client.close();
    const device = await far.server.device("1");
    await near.server.close();
    assertEquals(await device.clear(), { inbox: 1, outbox: 0 });
    assertEquals(await far.server.forget("1"), { inbox: 0, outbox: 0 });
    await until(() => !far.server.known("1"), { what: "the device to be gone" });
  });

  Deno.test("fleet: a message without qos goes out on another server's link", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin();
    const device = await rig.far.server.device("1");
    assertEquals(await device.write("now", { qos: false }), true);
    assertEquals(await rig.client.readline(), "now");
    assertEquals(await codeOf(device.write("x", { qos: false, expires: 5 })), "BAD_ARGUMENT");
  });

  Deno.test("fleet: settings and requests have the same outcome as at the device's server", async () => {
    const app = channels({ led: {}, adc: {} }, {
      description: { channels: { led: { kind: "number", min: 0, max: 9 } } },
    });
    await using rig = await TwoServers.start(url(), { app });
    await rig.begin();
    const { far, near, client } = rig;
    const thing = await far.server.thing("1");
    await thing.set("led", 3, { by: "test" });
    const desired = (await near.server.thing("1")).desired("led");
    assertEquals([desired?.value, desired?.by], [3, "test"]);
    assertEquals((await client.readline()).replace(/\.\d+/, ""), "=led 3");
    assertEquals(
      await codeOf(thing.set("led", 10)),
      "BAD_ARGUMENT",
      "the description allows 0 to 9",
    );
    assertEquals(await codeOf(thing.set("LED", 1)), "BAD_ARGUMENT");
    await far.server.transaction((tx) => tx.set("1", "led", 4));
    await client.write(":led.1");
    assertEquals((await client.readline()).replace(/\.\d+/, ""), "=led 4");

    const tagOf = (line: string) => line.slice(line.indexOf("."), line.indexOf(" "));
    const asked = thing.request("adc", 3);
    await client.write(`:adc${tagOf(await client.readline())} 512`);
    assertEquals(await asked, 512);
    const busy = codeOf(thing.request("adc", 4));
    await client.write(`~adc${tagOf(await client.readline())} busy`);
    assertEquals(await busy, "FAULT");
    const silent = codeOf(thing.request("adc", 5, { deadline: 300 }));
    await client.readline();
    void client.readline().catch(() => {});
    assertEquals(await silent, "UNANSWERED");
    await client.close();
    await until(() => !thing.connected, {
      what: "the other server to see that the device is away",
    });
    assertEquals(await codeOf(thing.request("adc", 6, { deadline: 100 })), "EXPIRED");
  });

  Deno.test("fleet: every server shows all devices, with their server and their state", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin();
    const { far, near, client } = rig;
    const [device] = far.server.devices;
    const server = near.server.devices[0]!.server;
    assert(server?.endsWith(`:${near.server.port}`), server);
    assertEquals([device!.server, device!.connected, device!.connects], [server, true, 1]);
    const tallies = [near, far].map(({ server }) =>
      new Tallies(server, AbortSignal.timeout(60_000))
    );
    const counted = () => tallies.map((it) => it.look().devices.length);
    assertEquals(counted(), [1, 0], "metrics count a server's own devices");
    assertEquals(await codeOf(device!.readline()), "ELSEWHERE");
    const seen: string[] = [];
    far.server.events.subscribe((event) => {
      if (event.event === "elsewhere") seen.push(event.message);
    });
    await client.write("a message");
    await until(() => device!.inbox === 1, { what: "the device's counts" });
    await client.close();
    await until(() => seen.length > 0, { what: "the end of its link" });
    assertEquals(seen, [`${server} has it: it has no link there`]);
    rig.client = new Client({ id: "1", port: far.server.port });
    await rig.client.ready();
    await until(() => near.log.some(({ event }) => event === "moved"), { what: "the move" });
    assertEquals(near.codes("warning"), []);
    await until(() => far.server.known("1")!.connected, {
      what: "the device to be at the other server",
    });
    assertEquals(counted(), [0, 1]);
    assertEquals(tallies[0]!.look().messages.received, 1, "what was counted before stays counted");
    assertEquals(await device!.readline(), "a message", "the device is here by now");
    await until(() => near.server.known("1")?.server?.endsWith(`:${far.server.port}`), {
      what: "the first server to see it at the other one",
    });
    assertEquals([near.server.devices.length, near.server.devices[0]!.connected], [1, true]);
  });
});
