import { assertEquals, assertThrows } from "@std/assert";
import { Refusal } from "./routes.ts";
import { MOST_OF_ONE, MOST_STREAMS, Places } from "./stream_places.ts";

const begun = new Response();

/** Streams that have begun, and a function that ends each. */
class Streams {
  readonly places = new Places();
  readonly ends: (() => void)[] = [];

  begin(address: string | undefined, count = 1): void {
    for (let n = 0; n < count; n++) {
      this.places.take(address, (ended) => {
        this.ends.push(ended);
        return begun;
      });
    }
  }

  refuses(address: string | undefined, words: string): void {
    const error = assertThrows(() => this.begin(address), Refusal, words);
    assertEquals([error.status, error.code], [503, "TOO_MANY_STREAMS"]);
  }
}

Deno.test("streams of one address over the limit are refused, until others end", () => {
  const streams = new Streams();
  streams.begin("10.0.0.1", MOST_OF_ONE);
  streams.refuses("10.0.0.1", "10.0.0.1 already has 16 open streams");
  streams.refuses("::ffff:10.0.0.1", "10.0.0.1 already has 16");
  streams.begin("10.0.0.2");
  streams.ends[0]!();
  streams.begin("10.0.0.1");
  streams.refuses("10.0.0.1", "already has 16");
  for (const end of streams.ends.splice(1)) end();
  streams.begin("10.0.0.1", MOST_OF_ONE);
});

Deno.test("an IPv6 network counts as one address", () => {
  const streams = new Streams();
  for (let n = 0; n < MOST_OF_ONE; n++) streams.begin(`2001:db8::${n}`);
  streams.refuses("2001:db8::ffff", "2001:db8:0:0::/64 already has");
});

Deno.test("the total number of streams is limited; this machine, where a proxy may run, has no other limit", () => {
  const streams = new Streams();
  for (const address of ["127.0.0.1", "::1", "::ffff:127.0.0.1", undefined]) {
    streams.begin(address, MOST_STREAMS / 4);
  }
  for (const address of ["127.0.0.1", undefined, "10.0.0.1"]) {
    streams.refuses(address, "there are already 64 open streams");
  }
  streams.ends[0]!();
  streams.begin("10.0.0.1");
});

Deno.test("a stream that fails to begin takes no place", () => {
  const streams = new Streams();
  const fails = () => {
    throw new Error("no");
  };
  for (let n = 0; n < MOST_STREAMS; n++) {
    assertThrows(() => streams.places.take("10.0.0.1", fails), Error, "no");
  }
  streams.begin("10.0.0.1");
});
