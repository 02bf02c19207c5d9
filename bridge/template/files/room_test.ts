import { equal } from "node:assert/strict";
import { Server } from "@holdfast/holdfast";
import { Board, loadModule } from "@holdfast/holdfast/client";
import { FaultProxy } from "fault-proxy";
import app from "./app.ts";

Deno.test("the heater follows the temperature, through connections that are reset", async () => {
  await using server = await Server.listen({ port: 0, open: true, app });
  await using proxy = await FaultProxy.start({ target: { port: server.port } });
  let heater = -1;
  let changed = Promise.withResolvers<void>();
  await using board = new Board({
    application: loadModule("device.wasm"),
    id: "kitchen",
    port: proxy.port,
    speed: 50, // a reading each 20 ms
    onPin(pin, level) {
      if (pin !== 5 || level === heater) return;
      heater = level;
      changed.resolve();
    },
  });
  for (const [temp, expected] of [[300, 1], [700, 0], [300, 1]] as const) {
    changed = Promise.withResolvers();
    board.analogue = temp;
    proxy.reset();
    await changed.promise;
    equal(heater, expected);
  }
});
