import { assertEquals } from "@std/assert";
import { FaultProxy } from "../support/proxy.ts";
import { Exchange } from "./exchange.ts";
import { referenceTest, Stock } from "./reference.ts";

referenceTest(
  "the stock client and the stock server exchange 300 messages each way over a sound network",
  ["client", "server"],
  async () => {
    await using server = await Stock.server(2000);
    await using proxy = await FaultProxy.start({ target: { port: server.port } });
    await using client = Stock.client(proxy.port, 2000);
    const exchange = new Exchange(client, server, proxy);
    await exchange.run({ name: "nothing" }, 300);
    exchange.assertExact();
    assertEquals([client.connects, server.connects, proxy.accepted], [1, 1, 1]);
  },
);

referenceTest(
  "the stock client finds the stock server again after a reset",
  ["client", "server"],
  async () => {
    await using server = await Stock.server(1000);
    await using proxy = await FaultProxy.start({ target: { port: server.port } });
    await using client = Stock.client(proxy.port, 1000);
    const exchange = new Exchange(client, server, proxy);
    await exchange.run({ name: "a reset", strike: (proxy) => proxy.reset() }, 20);
    exchange.assertExact();
    assertEquals([client.connects, server.connects, proxy.accepted], [2, 2, 2]);
  },
);
