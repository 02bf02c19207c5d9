/** Channels of the client in bridge/micropython: with marked lines written by hand, and with a server that has
 * channels. */
import { assertEquals, assertMatch } from "@std/assert";
import { channels, type Device, Server, type ServerOptions } from "../../server/mod.ts";
import { parseMarked, textOf, valueOf } from "../../server/protocol/channel_lines.ts";
import { oddText } from "../support/noise.ts";
import { Random } from "../support/random.ts";
import { until } from "../support/wait.ts";
import { interpreters, micropython, PACKAGE, program } from "./interpreters.ts";
import { PythonProcess } from "./python_process.ts";

function listen(options: ServerOptions = {}): Promise<Server> {
  return Server.listen({ hostname: "127.0.0.1", port: 0, open: true, timeout: 500, ...options });
}

/** Lines to a device, and its expected answers. */
const CONVERSATION = [
  ["?slow.1", ":slow.1 done"],
  ["=heater.8 1", ":heater.8 1"],
  ["=heater.0009 2", "~heater.0009 bad_value 0 or 1"],
  ["=heater 0", ":heater 0"],
  ["=level.1 12", ":level.1 10"],
  ["?adc.7 3", ":adc.7 [3,512]"],
  ["?adc.8", ":adc.8 [null,512]"],
  ["?quiet.1", ":quiet.1"],
  ["=broken.1 1", "~broken.1 failed"],
  ["=fan.1 1", "~fan.1 unknown"],
  ["?fan.1", "~fan.1 unknown"],
  ["=adc.1 1", "~adc.1 unsupported"],
  ["?heater.1", "~heater.1 unsupported"],
] as const;

/** Lines that need no answer, or name no channel. */
const UNANSWERED = ["hello", "=led", "=led@5 1", "?adc", "!bell.1 x", "!bell loud", "~x", ":x.1 2"];

async function hears(device: Device, count: number): Promise<string[]> {
  const heard: string[] = [];
  while (heard.length < count) heard.push((await device.readline()).replaceAll(", ", ","));
  return heard;
}

for (const [name, path] of interpreters()) {
  Deno.test(`${name}: settings and requests are answered once each, in order; other lines get no answer`, async () => {
    await using server = await listen();
    await using part = new PythonProcess(path, [
      program("channels_device.py"),
      PACKAGE,
      `${server.port}`,
    ]);
    const device = await server.device("1");
    assertEquals(await device.readline(), "@kitchen 3");
    for (const line of UNANSWERED) await device.write(line);
    for (const [line] of CONVERSATION) await device.write(line);
    assertEquals(
      await hears(device, CONVERSATION.length),
      CONVERSATION.map(([, answer]) => answer),
    );
    await device.write("go");
    const [report, event] = await hears(device, 2);
    assertMatch(report!, /^=temp@\d+ 21.5$/);
    assertEquals(event, "!button pressed");
    const asked = async (answer: (tag: string) => string) => {
      const [, tag] = (await device.readline()).match(/^\?[a-z]+\.(\d+)( now)?$/)!;
      await device.write(answer(tag!));
    };
    await asked((tag) => `:time.${tag} 1900000000000`);
    await asked((tag) => `~weather.${tag} busy until noon`);
    await asked((tag) => `:other.${tag} 1`);
    assertEquals(await device.readline(), "!end");
    await device.write("~temp bad_value too hot");
    await device.write("last");
    await until(() => part.said.includes("line last"));
    assertEquals(part.said, [
      ...["hello", "=led", "=led@5 1", "?adc", "!bell.1 x"].map((line) => `line ${line}`),
      "bell loud",
      "line ~x",
      "line go",
      "time True",
      "fault busy until noon",
      "error UNANSWERED",
      "not taken temp bad_value too hot",
      "line last",
    ]);
    await until(() => /^KeyError\('burnt',?\)$/m.test(part.trouble));
  });

  Deno.test(`${name}: reports, events and requests reach a server with channels, and its answers the device`, async () => {
    const events: unknown[] = [];
    const app = channels({
      heater: {},
      temp: {},
      button: { event: (value) => void events.push(value) },
      end: { event: () => void events.push("end") },
    });
    await using server = await listen({ app });
    await using part = new PythonProcess(path, [
      program("channels_device.py"),
      PACKAGE,
      `${server.port}`,
    ]);
    const thing = await server.thing("1");
    assertEquals(await thing.request("adc", 5), [5, 512]);
    await (await server.device("1")).write("go");
    await until(() => events.includes("end") || part.trouble !== "", {
      what: () => `${part.said} ${part.trouble}`,
    });
    assertEquals(part.trouble, "");
    assertEquals(events, ["pressed", "end"]);
    assertEquals(part.said.slice(0, 2), ["line go", "time True"]);
  });
}

Deno.test("the device reads and writes values as the server does", async () => {
  const call = await micropython<(which: "read" | "write", text: string) => string>(
    "import json\nfrom holdfast.channels import text_of, value_of",
    "lambda which, text: text_of(text) if which == 'write' else json.dumps(value_of(text))",
  );
  const random = new Random(Number(Deno.env.get("HOLDFAST_SEED") ?? 1));
  const odd = () =>
    random.pick(["1", "-", "0", ".", "e", "5", "E+", " ", '"', "[", "true", "x", "{"]);
  for (let n = 0; n < 1000; n++) {
    const text = random.once(3)
      ? oddText(random, 9).replace(/[\n\0]/g, "") || "x"
      : Array.from({ length: random.int(1, 5) }, odd).join("");
    if (parseMarked(`=a ${text}`)?.mark !== "set") continue;
    const value = valueOf(text);
    // The client does not check what is between brackets, and MicroPython's single precision may round.
    if (typeof value === "string") assertEquals(JSON.parse(call("read", text)), value, text);
    else if (Number.isInteger(value) && Math.abs(value as number) < 2 ** 30) {
      assertEquals(Number(call("read", text)) + 0, (value as number) + 0, text); // no -0
    }
    assertEquals(call("write", text), textOf(text), text);
  }
});
