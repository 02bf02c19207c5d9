/** The chip's sealed links, with an attacker on the path who has no key. */
import { assert, assertEquals } from "@std/assert";
import { Server } from "../../server/mod.ts";
import { Relay } from "../support/relay.ts";
import { until } from "../support/wait.ts";
import { application, chipTest, connects, isUp, plugIn } from "./support.ts";

/** The server's timeout in ms. The chip's clock runs faster. */
const TIMEOUT = 1000;
const SPEED = 2;

for (const suite of [3, 4] as const) {
  chipTest(
    `bytes inserted between chip and server are accepted by neither, and nothing is lost, in suite 0${suite}`,
    async () => {
      const key = crypto.getRandomValues(new Uint8Array(32));
      await using server = await Server.listen({
        hostname: "127.0.0.1",
        port: 0,
        timeout: TIMEOUT,
        keys: [["chip", `0${suite}:${key.toHex()}`]],
      });
      await using relay = new Relay(server.port);
      await using board = await plugIn({
        port: relay.port,
        id: "chip",
        application: application("qos"),
        speed: SPEED,
        settings: { key, suite, timeout: TIMEOUT * SPEED },
      });
      const device = await server.device("chip");
      const first = await device.readline();
      await until(() => isUp(board));
      const before = connects(board);
      // A complete record of another sender: its tag is wrong.
      await relay.say("toDevice", Uint8Array.of(0, 1, ...new Uint8Array(17)));
      await until(() => connects(board) > before, { what: "another link" });
      assert(
        board.lines.some((line) => line.includes("link down reason=BAD_SEAL")),
        board.lines.join("\n"),
      );
      await relay.say("toServer", "00unlock the door\n");
      const heard = [
        first,
        await device.readline(),
        await device.readline(),
        await device.readline(),
      ];
      assert(!heard.includes("unlock the door"));
      assertEquals(new Set(heard).size, heard.length);
      assert(!relay.textOf("toServer").includes(first), "it can be read on the way");
    },
  );
}
