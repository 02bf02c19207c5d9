/** Wrong answers from a server, and the error that a client reports for each. */
import { assertEquals } from "@std/assert";
import { dial } from "../../tests/support/callers.ts";
import { helloLine, type Said } from "../../tests/support/greeting.ts";
import { RawServer } from "../../tests/support/raw.ts";
import { until } from "../../tests/support/wait.ts";

/** A server that answers every hello so. */
function answering(answer: (hello: string) => string): RawServer {
  return new RawServer(async (peer) => {
    const hello = await peer.firstLine();
    if (hello !== undefined) await peer.sayIfHeard(answer(hello));
  });
}

/** A welcome that says something wrong. */
function welcome(hello: string, wrong: Partial<Said> = {}): string {
  const said = { txEpoch: 9, rxEpoch: parseInt(hello.slice(3, 11), 16), ...wrong, id: "" };
  return `\x02${helloLine(said).slice(1)}\n`;
}

for (
  const [what, code, dialect, answer] of [
    ["a welcome where dialect 1's keepalive should be", "BAD_LINE", 1, () => welcome("")],
    [
      "dialect 1's keepalive and message where a welcome should be",
      "BAD_GREETING",
      2,
      () => "\n00text\n",
    ],
    [
      "a welcome of another suite",
      "BAD_GREETING",
      2,
      (hello: string) => welcome(hello, { suite: "02" }),
    ],
    [
      "a welcome that ends too early",
      "BAD_GREETING",
      2,
      (hello: string) => `${welcome(hello).slice(0, 50)}\n`,
    ],
    [
      "a welcome with a window of 0",
      "BAD_GREETING",
      2,
      (hello: string) => welcome(hello, { window: 0 }),
    ],
    [
      "a welcome with a window of 65",
      "BAD_GREETING",
      2,
      (hello: string) => welcome(hello, { window: 65 }),
    ],
    [
      "a welcome with a window of 2^31",
      "BAD_GREETING",
      2,
      (hello: string) => welcome(hello, { window: 2 ** 31 }),
    ],
    [
      "a welcome with bytes below line + 3",
      "BAD_GREETING",
      2,
      (hello: string) => welcome(hello, { bytes: 514 }),
    ],
    [
      "a welcome for another stream",
      "BAD_POSITION",
      2,
      (hello: string) => welcome(hello, { rxEpoch: 1 }),
    ],
    [
      "a position from the server beyond what was ever sent",
      "BAD_POSITION",
      2,
      (hello: string) => welcome(hello, { rxNext: 1 }),
    ],
    [
      "a position from the server far beyond",
      "BAD_POSITION",
      2,
      (hello: string) => welcome(hello, { rxNext: 2 ** 31 }),
    ],
    [
      "an ack from the server for what was never sent",
      "BAD_POSITION",
      2,
      (hello: string) => `${welcome(hello)}00\n`,
    ],
    [
      "a message from the server out of turn",
      "GAP",
      2,
      (hello: string) => `${welcome(hello)}01text\n`,
    ],
    ["a second welcome", "BAD_LINE", 2, (hello: string) => welcome(hello).repeat(2)],
  ] as [string, string, 1 | 2, (hello: string) => string][]
) {
  Deno.test(`to a client, ${what} is ${code}`, async () => {
    await using server = answering(answer);
    const [client, reasons] = dial(server, { dialect });
    await using _ = client;
    assertEquals((await until(() => reasons[0])).code, code);
  });
}

Deno.test("messages for firmware are ignored: a program has none", async () => {
  const lines = ["00\x02x", "01one", "02\x02o", "03two"].map((line) => `${line}\n`).join("");
  await using server = answering((hello) => `${welcome(hello)}${lines}`);
  const [client] = dial(server);
  await using _ = client;
  assertEquals([await client.readline(), await client.readline()], ["one", "two"]);
});
