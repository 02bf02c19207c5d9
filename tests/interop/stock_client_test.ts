import { assert, assertEquals } from "@std/assert";
import { type Limits, Server } from "../../server/mod.ts";
import { FaultProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";
import { Application, Exchange, numbered, outages } from "./exchange.ts";
import { referenceTest, Stock } from "./reference.ts";

/** Timeout in ms: short, because the stock client needs 3.5 s and two timeouts for a new connection. */
const TIMEOUT = 1000;

/** Small enough that lines, ids and characters are all cut. */
const SPLIT = { maxBytes: 4 };

/** A server of ours, a proxy in front of it, and a device with the stock client behind that. */
class Scene implements AsyncDisposable {
  readonly server: Server;
  readonly proxy: FaultProxy;
  /** The application on the server's side of the link. */
  readonly device: Application;
  /** The current device. */
  client: Stock;

  static async start(limits: Partial<Limits> = {}): Promise<Scene> {
    const store = ":memory:";
    const server = await Server.listen({ port: 0, timeout: TIMEOUT, store, open: true, limits });
    const proxy = await FaultProxy.start({ target: { port: server.port } });
    const client = Stock.client(proxy.port, TIMEOUT);
    const device = await until(() => {
      client.check();
      return server.devices[0];
    }, { what: () => `the device to connect\n${client.story()}` });
    return new Scene(server, proxy, client, new Application(device));
  }

  private constructor(server: Server, proxy: FaultProxy, client: Stock, device: Application) {
    this.server = server;
    this.proxy = proxy;
    this.client = client;
    this.device = device;
  }

  /** Power-cycles the device: its memory is empty, its ids start at 00. */
  async reboot(): Promise<void> {
    await this.client.kill();
    this.client = Stock.client(this.proxy.port, TIMEOUT);
  }

  async until(condition: () => unknown, what: string): Promise<void> {
    await until(() => {
      this.device.check();
      this.client.check();
      return condition();
    }, { what: () => `${what}\n${this.device.story()}\n${this.client.story()}`, timeout: 60_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.device.stop();
    await this.client.kill();
    await this.proxy.close();
    await this.server.close();
  }
}

referenceTest(
  "a stock client exchanges 300 messages each way with our server, through every kind of outage",
  ["client"],
  async () => {
    await using scene = await Scene.start();
    const exchange = new Exchange(scene.client, scene.device, scene.proxy);
    await exchange.run({ name: "nothing" }, 30);
    await exchange.run({ name: "split segments", split: SPLIT }, 30);
    for (const [index, outage] of outages.entries()) {
      await exchange.run({ ...outage, ...(index % 2 ? {} : { split: SPLIT }) }, 40);
    }
    exchange.assertExact();
    assert(scene.client.connects > outages.length, `${scene.client.connects} connects`);
  },
);

referenceTest(
  "a stock client that reboots while it is sending: messages from before and after arrive once",
  ["client"],
  async () => {
    await using scene = await Scene.start();
    const { device } = scene;
    const first = numbered("first", 500), second = numbered("second", 500);
    const third = numbered("third", 100), down = numbered("down", 90);

    scene.client.write(first);
    device.write(down.slice(0, 30));
    await scene.until(() => device.acked.length === 30, "the first messages down");
    await scene.until(() => scene.client.heard.length === 30, "the application to read them");
    const one = scene.client;
    assertEquals(one.heard, down.slice(0, 30));
    await scene.reboot();

    device.write(down.slice(30, 60));
    scene.client.write(second);
    await scene.until(() => device.acked.length === 60, "messages down after the reboot");
    await scene.until(() => scene.client.heard.length === 30, "the application to read them");
    const two = scene.client;
    assertEquals(two.heard, down.slice(30, 60));
    // This time the server keeps a connection on which nothing will ever arrive again.
    scene.proxy.halfOpen();
    await scene.reboot();

    device.write(down.slice(60));
    scene.client.write(third);
    await scene.until(() => scene.client.acked.length === 100, "all acks after the second reboot");
    await scene.until(() => device.acked.length === 90, "all messages down");
    assertEquals(scene.client.heard, down.slice(60));
    assertEquals(scene.client.acked, third);
    const [fromFirst, fromSecond] = [arrived(device, "first"), arrived(device, "second")];
    assertEquals(device.heard, [
      ...first.slice(0, fromFirst),
      ...second.slice(0, fromSecond),
      ...third,
    ]);
    // The ack of the last message may have been on its way to the device.
    assert(fromFirst - one.acked.length <= 1 && fromFirst >= one.acked.length, `${fromFirst}`);
    assert(fromSecond - two.acked.length <= 1 && fromSecond >= two.acked.length, `${fromSecond}`);
    assert(fromFirst < 500 && fromSecond < 500, "it was switched off too late");
  },
);

referenceTest(
  "a stock client that sends the same texts after a reboot as before: all of them arrive again",
  ["client"],
  async () => {
    await using scene = await Scene.start();
    const texts = numbered("the same", 10);
    for (let life = 0; life < 2; life++) {
      if (life > 0) await scene.reboot();
      scene.client.write(texts);
      await scene.until(() => scene.client.acked.length === 10, `all acks in life ${life}`);
    }
    assertEquals(scene.device.heard, [...texts, ...texts]);
  },
);

referenceTest(
  "a stock client whose first message after a reboot is lost: later messages are not taken for repeats",
  ["client"],
  async () => {
    await using scene = await Scene.start();
    const { device, proxy } = scene;
    const before = numbered("before", 20), after = numbered("after", 15);
    scene.client.write(before);
    await scene.until(() => scene.client.acked.length === 20, "all acks before the reboot");
    await scene.reboot();
    scene.client.writeAtOnce(after);
    proxy.onBytes = ({ bytes }) => {
      if (!new TextDecoder().decode(bytes).includes("00after 0\n")) return;
      proxy.onBytes = undefined;
      proxy.reset();
    };
    await scene.until(() => scene.client.acked.length === 15, "all acks after the reboot");
    // They were written without waiting, so their order is not guaranteed.
    assertEquals(device.heard.slice(0, 20), before);
    assertEquals(device.heard.slice(20).toSorted(), after.toSorted());
  },
);

referenceTest(
  "a burst to a stock client, which acknowledges lines that it has no room for: all of it arrives, in order",
  ["client"],
  async () => {
    await using scene = await Scene.start();
    const { device } = scene;
    const texts = numbered("burst", 60);
    device.write(["first"]);
    await scene.until(() => device.acked.length === 1, "the first message");
    device.writeAtOnce(texts);
    await scene.until(() => device.acked.length === 61, "all acks");
    await scene.until(() => scene.client.heard.length >= 61, "all messages at the application");
    assertEquals(scene.client.heard, ["first", ...texts]);
    assertEquals(scene.client.connects, 1);
  },
);

referenceTest(
  "a burst from a stock client to an application with little room that reads late: all of it arrives once",
  ["client"],
  async () => {
    await using scene = await Scene.start({ inbox: 4 });
    const { client, device } = scene;
    const texts = numbered("burst", 40);
    let sent = 0;
    scene.proxy.onBytes = ({ bytes }) => {
      if (new TextDecoder().decode(bytes).includes("burst 39\n")) sent++;
    };
    device.pause();
    client.writeAtOnce(texts);
    // The first few have room and are acknowledged, the others are sent again after every timeout.
    await scene.until(() => sent === 3, "the last message to be repeated");
    assert(client.acked.length < 10, `${client.acked.length} acks`);
    device.resume();
    await scene.until(() => client.acked.length === 40, "all acks");
    assertEquals(device.heard.toSorted(), texts.toSorted());
    assertEquals(client.connects, 1);
  },
);

referenceTest(
  "a stock client whose access point goes away for a while: messages of both ends arrive once",
  ["client"],
  async () => {
    await using scene = await Scene.start();
    const { client, device } = scene;
    const up = numbered("up", 40), down = numbered("down", 40);
    client.radio(false);
    scene.proxy.reset();
    await scene.until(() => !client.linked, "the client to notice the outage");
    client.write(up);
    device.write(down);
    client.radio(true);
    await scene.until(() => client.acked.length === 40 && device.acked.length === 40, "all acks");
    assertEquals([device.heard, client.heard], [up, down]);
  },
);

/** How many of the messages heard come from `origin`. */
function arrived(device: Application, origin: string): number {
  return device.heard.filter((line) => line.startsWith(origin)).length;
}
