/** What an application of the simulator has left to write, in rare orders of events. */
import { assertEquals } from "@std/assert";
import { SimPlatform } from "../../bridge/testing/platform.ts";
import { Random } from "../../bridge/testing/random.ts";
import type { Device } from "../../server/device.ts";
import type { Server } from "../../server/server.ts";
import { Conversation } from "./conversation.ts";
import { ChangedItsMind } from "./misconduct.ts";
import { drawScenario } from "./scenario.ts";
import { World } from "./world.ts";

/**
 * An application begins the transaction with its last message. If its device is lost, the next run of the application
 * finds nothing left to write. Then the transaction fails, and everybody goes on.
 *
 * @returns whether both runs are idle in the end, and how many transactions were tried
 */
async function triesLast(isLost: boolean): Promise<{ isIdle: boolean; tries: number }> {
  const random = new Random(1);
  const drawn = drawScenario(random);
  const scenario = { ...drawn, transactions: 1, failures: 0, returns: 0, stubborn: 0 };
  using world = new World(random, scenario);
  const { clock, server: { process, conversations }, serverTalks } = world;
  const [id] = world.books.keys();
  const talk = serverTalks.get(id!)!;
  Object.assign(talk, { messages: 1, pause: 0, answers: 0, failures: 0, dropped: 0 });
  const never = () => new Promise<never>(() => {});
  const device = {
    id,
    readline: never,
    consume: never,
    [Symbol.asyncIterator]: () => ({ next: never }),
  } as unknown as Device;
  const outcomes: PromiseWithResolvers<void>[] = [];
  const server = {
    transaction: () => outcomes[outcomes.push(Promise.withResolvers<void>()) - 1]!.promise,
  } as unknown as Server;
  const platform = new SimPlatform(process, world.server);
  const begin = () => {
    const conversation = new Conversation(world, platform, device, server);
    conversations.set(id!, conversation);
    conversation.hold().catch((error) => world.failed(error));
    return conversation;
  };
  const goOn = async () => {
    do await new Promise((resolve) => setTimeout(resolve)); while (clock.step(1000));
  };
  const runs = [begin()];
  await goOn();
  assertEquals(outcomes.length, 1);
  if (isLost) {
    conversations.delete(id!);
    runs.push(begin());
    await goOn();
  }
  outcomes[0]!.reject(new ChangedItsMind());
  await goOn();
  for (const { resolve } of outcomes.slice(1)) resolve();
  await goOn();
  return { isIdle: runs.every(({ isIdle }) => isIdle), tries: outcomes.length };
}

Deno.test("a transaction that fails after its run has lost the device leaves nothing to write to the next run", async () => {
  assertEquals(await triesLast(true), { isIdle: true, tries: 1 });
});

Deno.test("a transaction that fails is tried again by the run that has the device", async () => {
  assertEquals(await triesLast(false), { isIdle: true, tries: 2 });
});
