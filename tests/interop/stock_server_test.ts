import { assert, assertEquals } from "@std/assert";
import { Client } from "../../bridge/host/mod.ts";
import { type Direction, FaultProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";
import { Application, Exchange, numbered, outages } from "./exchange.ts";
import { ID, referenceTest, Stock } from "./reference.ts";

/** In ms. */
const TIMEOUT = 1000;

/**
 * Where a segment to the stock server may end. It takes a newline at the start of a segment for a keepalive, even if it
 * ends a line, and a cut through a character stops its reader for good. No client can avoid that, so such cuts are not
 * made. The stream to us is cut anywhere.
 */
function mayCut(bytes: Uint8Array, at: number, direction: Direction): boolean {
  const isNewline = bytes[at] === 10, isInsideCharacter = (bytes[at]! & 0xc0) === 0x80;
  return direction === "down" || (!isNewline && !isInsideCharacter);
}

/** The stock server polls every 50 ms, and would read faster pieces together. */
const SPLIT = { maxBytes: 8, gap: 60, mayCut };

/** A stock server, a proxy in front of it, and a client of ours behind that. */
class Scene implements AsyncDisposable {
  readonly proxy: FaultProxy;
  server: Stock;
  /** The current client, and its application. */
  client: Client;
  application: Application;

  static async start(): Promise<Scene> {
    const server = await Stock.server(TIMEOUT);
    const proxy = await FaultProxy.start({ target: { port: server.port } });
    return new Scene(server, proxy);
  }

  private constructor(server: Stock, proxy: FaultProxy) {
    this.server = server;
    this.proxy = proxy;
    this.client = new Client({ id: ID, port: proxy.port, timeout: TIMEOUT, dialect: 1 });
    this.application = new Application(this.client);
  }

  /** Ends the client in the middle of its work, and starts another that remembers nothing. */
  async rebootClient(): Promise<void> {
    this.application.stop();
    await this.client.close();
    this.client = new Client({ id: ID, port: this.proxy.port, timeout: TIMEOUT, dialect: 1 });
    this.application = new Application(this.client);
  }

  /** Kills the server, and starts another that remembers nothing. */
  async rebootServer(): Promise<void> {
    await this.server.kill();
    this.server = await Stock.server(TIMEOUT);
    this.proxy.retarget(this.server.port);
  }

  async until(condition: () => unknown, what: string): Promise<void> {
    await until(() => {
      this.application.check();
      this.server.check();
      return condition();
    }, {
      what: () => `${what}\n${this.application.story()}\n${this.server.story()}`,
      timeout: 60_000,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.application.stop();
    await this.client.close();
    await this.proxy.close();
    await this.server.kill();
  }
}

referenceTest(
  "our client exchanges 300 messages each way with a stock server, through every kind of outage",
  ["server"],
  async () => {
    await using scene = await Scene.start();
    const exchange = new Exchange(scene.application, scene.server, scene.proxy);
    await exchange.run({ name: "nothing" }, 30);
    await exchange.run({ name: "split segments", split: SPLIT }, 30);
    // Not both at once: the stock server glues half a line of a dead connection to the next one's first.
    for (const outage of outages) await exchange.run(outage, 40);
    exchange.assertExact();
    assert(scene.client.connects > outages.length, `${scene.client.connects} connects`);
  },
);

referenceTest(
  "our client is restarted while it is sending: messages from before and after arrive once",
  ["server"],
  async () => {
    await using scene = await Scene.start();
    const { server } = scene;
    const first = numbered("first", 200), second = numbered("second", 30);
    const down = numbered("down", 30);
    scene.application.write(first);
    server.write(down.slice(0, 15));
    await scene.until(() => server.acked.length === 15, "the first messages down");
    const one = scene.application;
    assertEquals(one.heard, down.slice(0, 15));
    await scene.rebootClient();
    server.write(down.slice(15));
    scene.application.write(second);
    await scene.until(() => server.acked.length === 30, "all messages down");
    await scene.until(() => server.heard.at(-1) === second.at(-1), "all messages up");
    const arrived = server.heard.length - second.length;
    assertEquals(server.heard, [...first.slice(0, arrived), ...second]);
    assertEquals(scene.application.heard, down.slice(15));
    // The ack of the last message may have been on its way.
    assert(arrived >= one.acked.length && arrived - one.acked.length <= 1, `${arrived}`);
    assert(arrived < 200, "it was ended too late");
  },
);

referenceTest(
  "a restarted stock server sends the same texts as before: our client receives all of them again",
  ["server"],
  async () => {
    await using scene = await Scene.start();
    const down = numbered("the same", 10), up = numbered("up", 10);
    scene.server.write(down);
    await scene.until(() => scene.server.acked.length === 10, "all acks before the restart");
    await scene.rebootServer();
    scene.server.write(down);
    scene.application.write(up);
    await scene.until(() => scene.server.acked.length === 10, "all acks after the restart");
    await scene.until(() => scene.application.acked.length === 10, "all acks of the client");
    await scene.until(() => scene.server.heard.length === 10, "the server's application to read");
    assertEquals(scene.application.heard, [...down, ...down]);
    assertEquals(scene.server.heard, up);
  },
);

referenceTest(
  "a burst from our client to a stock server through a reset: all of it arrives once, in some order",
  ["server"],
  async () => {
    await using scene = await Scene.start();
    const { application, proxy, server } = scene;
    const texts = numbered("burst", 100);
    application.write(["first"]);
    await scene.until(() => application.acked.length === 1, "the first message");
    application.writeAtOnce(texts);
    proxy.onBytes = ({ direction }) => {
      if (direction === "up") return;
      proxy.onBytes = undefined;
      proxy.reset();
    };
    await scene.until(() => application.acked.length === 101, "all acks");
    await scene.until(() => server.heard.length >= 101, "the server's application to read");
    assertEquals(server.heard.slice(1).toSorted(), texts.toSorted());
  },
);

referenceTest(
  "a long burst to a stock server, which fails at a character cut by its buffer: all of it arrives, in order",
  ["server"],
  async () => {
    await using scene = await Scene.start();
    const { application, server } = scene;
    // Sent all at once, the 4096th byte and the next belong to the same character.
    const texts = numbered(`x${"€".repeat(60)}`, 100);
    application.write(["first"]);
    await scene.until(() => application.acked.length === 1, "the first message");
    application.writeAtOnce(texts);
    await scene.until(() => application.acked.length === 101, "all acks");
    await scene.until(() => server.heard.length >= 101, "the server's application to read");
    assertEquals(server.heard, ["first", ...texts]);
  },
);
