/** A stream of changes whose reader is slow or stops reading. */
import { assertEquals } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { streamOf } from "./stream.ts";

/** A stream that sends the number of changes so far. */
function begin() {
  const clock = new ManualClock();
  const stop = new AbortController();
  const seen = { changes: 0, looks: 0, closed: 0 };
  let changed = () => {};
  const { body } = streamOf(
    (tell) => {
      changed = () => {
        seen.changes++;
        tell();
      };
      return {
        all: () => "all",
        changes: () => ++seen.looks && seen.changes,
        close: () => void seen.closed++,
      };
    },
    stop.signal,
    clock,
  );
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  const read = async () => (await reader.read()).value;
  return { clock, stop, seen, reader, read, change: () => changed() };
}

Deno.test("changes within one interval are sent once, and the stream is kept alive while nothing changes", async () => {
  const { clock, seen, read, reader, change } = begin();
  assertEquals(await read(), 'event: all\ndata: "all"\n\n');
  change();
  await clock.advance(250);
  assertEquals(await read(), "event: changes\ndata: 1\n\n");
  for (let n = 0; n < 10; n++) change();
  await clock.advance(250);
  assertEquals(await read(), "event: changes\ndata: 11\n\n");
  await clock.advance(15_000);
  assertEquals(await read(), "event: changes\ndata: 11\n\n");
  await reader.cancel();
  assertEquals([seen.closed, clock.timers], [1, 0]);
});

Deno.test("a reader that reads nothing causes no work, and is disconnected after a minute", async () => {
  const { clock, seen, change } = begin();
  for (let seconds = 0; seconds < 50; seconds++) {
    change();
    await clock.advance(1000);
  }
  assertEquals([seen.looks < 5, seen.closed], [true, 0]);
  await clock.advance(30_000);
  assertEquals([seen.closed, clock.timers], [1, 0]);
});

Deno.test("a stream ends with the server", async () => {
  const { clock, stop, seen, read } = begin();
  await read();
  stop.abort();
  assertEquals([await read(), seen.closed, clock.timers], [undefined, 1, 0]);
});
