import { equal } from "node:assert/strict";
import { Server } from "@holdfast/holdfast";
import { Board, loadModule } from "@holdfast/holdfast/client";
import { simulate } from "@holdfast/holdfast/testing";
import app from "./app.ts";

const HEATER = 5; // its pin

// Each seed is another run. A failure names the seed, which fails again when it is run alone.
for (const seed of [1, 2, 3, 4, 5]) {
  Deno.test(`the heater follows the temperature through outages and kills, seed ${seed}`, async () => {
    await simulate({ seed }, async (world) => {
      const server = world.machine("server", ({ platform, store }) =>
        Server.listen({ open: true, store: store("room.db"), app }, platform));
      const kitchen = world.machine("kitchen", ({ platform }) =>
        new Board(
          { application: loadModule("device.wasm"), id: "kitchen", host: "server" },
          platform,
        ));
      await server.start();
      const board = await kitchen.start();
      for (const [temp, heater] of [[700, 0], [300, 1], [700, 0]] as const) {
        board.analogue = temp;
        kitchen.disturb("black hole both ways", 20_000);
        await world.pass(5000);
        server.kill();
        await world.trouble(60_000);
        await server.start();
        await world.until(() => board.pin(HEATER) === heater, 60_000);
        equal(board.pin(HEATER), heater);
      }
    });
  });
}
