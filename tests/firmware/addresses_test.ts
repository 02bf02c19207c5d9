/** A chip that knows two addresses of its server. */
import { assert, assertEquals } from "@std/assert";
import type { Emulator } from "../../bridge/esp8266/emulator/emulator.ts";
import { Server } from "../../server/mod.ts";
import { application, chipTest, connects, isUp, line, plugIn } from "./support.ts";
import { until } from "../support/wait.ts";

const SPEED = 20;
const TIMEOUT = 1000;
const FIRST = "10.0.0.2";
const SECOND = "10.0.0.3";

function listen(port = 0): Promise<Server> {
  return Server.listen({ port, hostname: "127.0.0.1", timeout: TIMEOUT, open: true });
}

/** A port on which nothing listens. */
async function deserted(): Promise<number> {
  const server = await listen();
  const { port } = server;
  await server.close();
  return port;
}

/** A board that knows both addresses. @param portOf The port on this machine for an address. */
function plugInAt(portOf: (host: string) => number): Promise<Emulator> {
  return plugIn({
    port: 8123,
    id: "1",
    application: application("main"),
    speed: SPEED,
    settings: { server: FIRST, server2: SECOND, timeout: TIMEOUT * SPEED },
    route: (host) => ({ hostname: "127.0.0.1", port: portOf(host) }),
  });
}

chipTest(
  "after a failed attempt the next one goes to the other address; after a lost link, to the same address",
  async () => {
    await using server = await listen();
    const nobody = await deserted();
    let at = SECOND;
    await using board = await plugInAt((host) => host === at ? server.port : nobody);
    const tried = () =>
      board.lines.flatMap((line) =>
        line.match(/^holdfast: link connecting server=(.*):8123$/)?.[1] ?? []
      );
    assertEquals(
      await line(board, "settings id=1"),
      `holdfast: settings id=1 server=${FIRST}:8123 server2=${SECOND}:8123 ssid=Home key=no`,
    );
    await until(() => isUp(board), { what: "the link" });
    assertEquals(tried(), [FIRST, SECOND]);

    // The link is lost, and comes back at the same address.
    board.loseWifi();
    await until(() => connects(board) === 2, { what: "the link to be back" });
    assertEquals(tried(), [FIRST, SECOND, SECOND]);

    // The server moves to its other address.
    at = FIRST;
    board.loseWifi();
    await until(() => connects(board) === 3, { what: "the link at the other address" });
    assertEquals(tried(), [FIRST, SECOND, SECOND, SECOND, FIRST]);
  },
);

chipTest(
  "of two names, one that cannot be looked up does not keep the board from the other",
  async () => {
    await using server = await listen();
    await using board = await plugIn({
      port: server.port,
      id: "1",
      application: application("main"),
      speed: SPEED,
      settings: { server: "kitchen.local", server2: "server.lan", timeout: TIMEOUT * SPEED },
      lookup: (name) =>
        name === "server.lan" ? Promise.resolve("127.0.0.1") : Promise.reject(new Error("nobody")),
    });
    await until(() => isUp(board), { what: "the link" });
    assertEquals(board.lines.filter((line) => line.includes(" link ")), [
      `holdfast: link connecting server=kitchen.local:${server.port}`,
      "holdfast: link down reason=NO_ADDRESS name=local",
      `holdfast: link connecting server=server.lan:${server.port}`,
      "holdfast: link up connects=1",
    ]);
  },
);

chipTest(
  "a server that is about to stop sends its board to the other address at once; if both do, the board waits",
  async () => {
    const servers = [await listen(), await listen()];
    await using board = await plugInAt((host) => servers[host === FIRST ? 0 : 1]!.port);
    try {
      await until(() => isUp(board), { what: "the link" });
      await servers[0]!.sendAway(0);
      await until(() => connects(board) === 2, { what: "the link at the other address" });
      // With its first line the board has confirmed the link, and nothing is unread when the connection ends.
      const device = await servers[1]!.device("1");
      await device.readline();
      await servers[1]!.sendAway(0);
      await until(() => board.lines.filter((line) => line.includes("code=07")).length === 2, {
        what: "the second refusal",
      });
      const refused = performance.now();
      const links = () => board.lines.filter((line) => line.includes(" link "));
      await until(() => links().length > 6, { what: "the next attempt" });
      const pause = performance.now() - refused;
      assert(pause > TIMEOUT, `${pause} ms after both have sent it away`);
      assertEquals(links().slice(0, 7), [
        `holdfast: link connecting server=${FIRST}:8123`,
        "holdfast: link up connects=1",
        "holdfast: link down reason=REFUSED code=07",
        `holdfast: link connecting server=${SECOND}:8123`,
        "holdfast: link up connects=2",
        "holdfast: link down reason=REFUSED code=07",
        `holdfast: link connecting server=${FIRST}:8123`,
      ]);
    } finally {
      for (const server of servers) await server.close();
    }
  },
);
