/** How many commits a publication takes: each is synced, so they are the main cost. */
import { assert, assertEquals } from "@std/assert";
import { folder } from "../../tests/support/main_process.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import type { ManualSocket } from "../../tests/support/manual_platform.ts";
import { BrokeredPlatform } from "../../tests/support/quick_broker.ts";
import { type Batch, SqliteStore } from "../../server/mod.ts";
import { MqttBridge } from "./mod.ts";

const DEVICES = 10;

/** Counts commits that change something: the others are not synced. */
class CountingStore extends SqliteStore {
  commits = 0;

  override commit({ works, changes }: Batch) {
    let isChange = works.some(({ statements }) => statements.length > 0);
    const counted = (refused: Parameters<typeof changes>[0]) => {
      const all = [...changes(refused)];
      isChange ||= all.length > 0;
      return all;
    };
    const done = super.commit({ works, changes: counted });
    if (isChange) this.commits++;
    return done;
  }
}

/** A device that says events, in dialect 1. */
class Reporter {
  #next = 0;

  constructor(readonly socket: ManualSocket) {}

  says(text: string): void {
    const id = this.#next.toString(16).padStart(2, "0");
    this.#next = this.#next % 255 + 1;
    this.socket.gives(`${id}!load ${text}\n`);
  }
}

/** Keeps `window` events on their way to the broker until `total` have come. @returns commits per event */
async function commitsPerMessage(window: number, total: number): Promise<number> {
  using place = folder();
  const store = new CountingStore(`${place.path}/server.db`, { durability: "normal" });
  const platform = new BrokeredPlatform();
  const mqtt = new MqttBridge({ hostname: "broker.lan" }, platform);
  const scene = await ManualServer.start({ store, observe: mqtt.observe }, platform);
  const started = mqtt.start(scene.server);
  await platform.turn();
  await started;
  const reporters: Reporter[] = [];
  for (let n = 0; n < DEVICES; n++) reporters.push(new Reporter(await scene.knock(`${n}\n\n`)));
  await platform.turn();
  const came: string[] = [];
  let said = 0;
  const say = () => said < total && reporters[said % DEVICES]!.says(`${said++}`);
  platform.delivered = (topic, payload) => {
    if (!topic.includes("/event/")) return;
    came.push(payload);
    platform.soon(say);
  };
  store.commits = 0;
  while (said < window) say();
  await platform.turn();
  const { commits } = store;
  assertEquals(came.length, total);
  assertEquals(new Set(came).size, total);
  mqtt.close();
  await scene[Symbol.asyncDispose]();
  await store.close();
  return commits / total;
}

Deno.test("a message that is alone on its way takes three commits", async () => {
  const commits = await commitsPerMessage(1, 50);
  assert(commits < 3.1, `${commits} commits a message`); // its row goes with the next one
});

for (const window of [100, 300]) {
  Deno.test(`with ${window} messages of ${DEVICES} devices on their way, 100 of them take three commits`, async () => {
    const commits = await commitsPerMessage(window, 2000);
    assert(commits < 3.1 / 100, `${commits} commits a message`);
  });
}
