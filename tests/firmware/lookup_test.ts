/** A chip that knows its server by a name. */
import { assertEquals } from "@std/assert";
import { Server } from "../../server/mod.ts";
import { application, chipTest, isUp, line, plugIn } from "./support.ts";
import { until } from "../support/wait.ts";

const SPEED = 20;
const TIMEOUT = 1000;

function listen(): Promise<Server> {
  return Server.listen({ port: 0, hostname: "127.0.0.1", timeout: TIMEOUT, open: true });
}

chipTest("a slow lookup of a name does not count as a failed attempt", async () => {
  await using server = await listen();
  const { promise: answer, resolve: found } = Promise.withResolvers<string>();
  await using board = await plugIn({
    port: server.port,
    id: "1",
    application: application("main"),
    speed: SPEED,
    settings: { server: "server.lan", timeout: TIMEOUT * SPEED },
    lookup: (name) => name === "server.lan" ? answer : Promise.reject(name),
  });
  const connecting = `holdfast: link connecting server=server.lan:${server.port}`;
  await line(board, connecting);
  // An attempt would have ended by now, and the next one, too.
  await new Promise((resolve) => setTimeout(resolve, TIMEOUT));
  found("127.0.0.1");
  await until(() => isUp(board), { what: "the link" });
  assertEquals(board.lines.filter((line) => line.includes(" link ")), [
    connecting,
    "holdfast: link up connects=1",
  ]);
});

for (
  const [name, says] of [
    ["server.lan", "reason=NO_ADDRESS"],
    ["kitchen.LOCAL.", "reason=NO_ADDRESS name=local"],
    ["local", "reason=NO_ADDRESS"],
  ] as const
) {
  chipTest(`a name that cannot be looked up is named: ${name}`, async () => {
    await using server = await listen();
    let isKnown = false;
    await using board = await plugIn({
      port: server.port,
      id: "1",
      application: application("main"),
      speed: SPEED,
      settings: { server: name, timeout: TIMEOUT * SPEED },
      lookup: () => isKnown ? Promise.resolve("127.0.0.1") : Promise.reject(new Error("nobody")),
    });
    assertEquals(await line(board, "link down"), `holdfast: link down ${says}`);
    isKnown = true;
    await until(() => isUp(board), { what: "the link" });
  });
}
