/** Listeners that fail: they get no more events, and whatever caused the event continues. */
import { assertEquals, assertMatch } from "@std/assert";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { until } from "../../tests/support/wait.ts";
import { Events, type ServerEvent } from "./events.ts";

const EVENT = { event: "app_failed", device: "1", message: "no" } as const;

/** Events, and what a listener that does not fail receives. */
function scene(): { events: Events; told: ServerEvent[] } {
  const events = new Events();
  const told: ServerEvent[] = [];
  events.subscribe((event) => void told.push(event));
  return { events, told };
}

const messages = (told: ServerEvent[]) =>
  told.flatMap((it) => it.event === "warning" ? [it.message.split("\n")[0]!] : []);

Deno.test("a listener that throws gets no more events, and the others get an event about it", () => {
  const { events, told } = scene();
  let times = 0;
  events.subscribe(() => {
    times++;
    throw new Error("no");
  });
  for (let i = 0; i < 3; i++) events.emit(EVENT);
  assertEquals([times, told.length], [1, 4]);
  const what = 'a subscriber to "app_failed" has thrown an error and was unsubscribed: Error: no';
  assertEquals(messages(told), [what]);
});

Deno.test("a listener whose promise is rejected gets no more events", async () => {
  for (
    const listener of [
      () => Promise.reject(new Error("returned")),
      () => void Promise.reject(new Error("dropped")),
    ]
  ) {
    const { events, told } = scene();
    let times = 0;
    events.subscribe(() => {
      times++;
      return listener();
    });
    events.emit(EVENT);
    await until(() => told.length === 2, { what: "the warning" });
    events.emit(EVENT);
    assertEquals([times, told.length], [1, 3]);
    assertMatch(
      messages(told)[0]!,
      /^a subscriber has left a rejected promise .* Error: (ret|drop)/,
    );
  }
});

Deno.test("a listener that drops a rejected promise when an application fails is told of one failure", async () => {
  await using scene = await ManualServer.start({
    app: () => {
      void Promise.reject(new Error("dropped by the application"));
      return new Promise(() => {});
    },
  });
  let times = 0;
  scene.server.events.subscribe(({ event }) => {
    if (event !== "app_failed") return;
    times++;
    void Promise.reject(new Error("dropped by the listener"));
  });
  await scene.knock("1\n\n");
  await until(() => scene.log.some((entry) => entry.startsWith("warning")), {
    what: "the warning",
  });
  for (let turns = 0; turns < 5; turns++) await scene.platform.turn();
  const failures = scene.log.filter((entry) => /^(app_failed|warning)/.test(entry));
  assertEquals([times, failures.length], [1, 2], failures.join("\n"));
});

Deno.test("an application that listens, and drops a rejected promise when it fails, is told of one failure", async () => {
  let times = 0;
  await using scene = await ManualServer.start({
    app: (_, server) => {
      server.events.subscribe(({ event }) => {
        if (event !== "app_failed") return;
        times++;
        void Promise.reject(new Error("dropped by the listener"));
      });
      void Promise.reject(new Error("dropped by the application"));
      return new Promise(() => {});
    },
  });
  await scene.knock("1\n\n");
  await until(() => scene.log.some((entry) => entry.startsWith("warning")), {
    what: "the warning",
  });
  for (let turns = 0; turns < 5; turns++) await scene.platform.turn();
  assertEquals(times, 1);
});

Deno.test("a listener's calls do not belong to the application that the event is about", async () => {
  const asked: Promise<void>[] = [];
  await using scene = await ManualServer.start({
    app: () => Promise.reject(new Error("it has ended")),
  });
  scene.server.events.subscribe(({ event }) => {
    // A call of the failed run would be refused.
    if (event === "app_failed") asked.push(scene.server.transaction(() => {}));
  });
  await scene.knock("1\n\n");
  await until(() => asked.length > 0, { what: "the failure" });
  await scene.platform.advance(1);
  await asked[0];
});
