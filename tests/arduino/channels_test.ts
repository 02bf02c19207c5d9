/** Channels of a sketch: with marked lines written by hand, and with a server that has channels. */
import { assertEquals } from "@std/assert";
import { type Device, Server } from "../../server/mod.ts";
import { almostMarked, heardByChip } from "../support/channel_noise.ts";
import { thermostat } from "../support/channel_demos.ts";
import { FaultProxy } from "../support/proxy.ts";
import { Random } from "../support/random.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { buildSketch, LIBRARY } from "./build.ts";
import { Sketch } from "./sketch.ts";

const GPP = { "g++": "g++" };
const here = (path: string) => new URL(path, import.meta.url).pathname;

/** A device, and a server whose lines the test writes. */
interface Rig {
  sketch: Sketch;
  device: Device;
  /** Sends these lines, and returns the device's answers in order. */
  says(lines: readonly string[], answers: number): Promise<string[]>;
}

async function byHand(program: string, fn: (rig: Rig) => Promise<void>): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await Server.listen({ hostname: "127.0.0.1", port: 0, open: true }));
  const sketch = stack.use(new Sketch(program, { HOLDFAST_AT: `${server.port}` }));
  const device = await server.device("kitchen");
  const heard: string[] = [];
  (async () => {
    for await (const line of device) heard.push(line);
  })().catch(() => {}); // the server was closed
  const hears = async (count: number) => {
    await until(() => {
      sketch.check();
      return heard.length >= count;
    }, { what: () => `${count} lines, and not ${JSON.stringify(heard)}; ${sketch.story}` });
    return heard.splice(0);
  };
  assertEquals(await hears(1), ["@kitchen 3"]);
  const says = async (lines: readonly string[], answers: number) => {
    const written = Promise.all(lines.map((line) => device.write(line)));
    written.catch(() => {}); // until it is awaited
    const said = await hears(answers);
    await written;
    return said;
  };
  await fn({ sketch, device, says });
}

/** What a device answers to marked lines written by hand. */
const conversations: Record<string, (rig: Rig) => Promise<void>> = {
  "settings and requests are answered once each, in order, by name and tag": async (
    { sketch, says },
  ) => {
    const name = "n".repeat(32);
    const conversation = [
      ["=heater.8 1", ":heater.8 1"],
      ["=heater.0000000008 0", ":heater.0000000008 0"],
      ["=heater 1", ":heater 1"],
      ["=heater.8 2", "~heater.8 bad_value"],
      ["=heater on", "~heater bad_value"],
      ["=fan.8 1", "~fan.8 unknown"],
      ["=heate 1", "~heate unknown"],
      ["=heater/2 1", "~heater/2 unknown"],
      [`=${name}.1234567890 1`, `~${name}.1234567890 unknown`],
      ["?adc.7", ":adc.7 512"],
      ["?adc.7 3", ":adc.7 512"],
      ["?adc.7 busy", "~adc.7 busy try later"],
      ["?heater.7", "~heater.7 unknown"],
      ["=text.1 113", `:text.1 ${"x".repeat(113)}`],
      ["=text.1 114", "~text.1 failed"],
      ["=number 2147483647", ":number 2147483647"],
      ["=number 2147483648", ":number -7"],
      ["=number -2147483648", ":number -2147483648"],
      ["=number -2147483649", ":number -7"],
      ["=number 007", ":number 7"],
      ["=number 7 ", ":number -7"],
      ["=number -", ":number -7"],
    ] as const;
    const silent = ["!bell", "!bell 3", "!gong", ":heater 1", "~fan unknown"];
    assertEquals(
      await says([...silent, ...conversation.map(([line]) => line)], conversation.length),
      conversation.map(([, answer]) => answer),
    );
    assertEquals(sketch.lines.filter((line) => line.startsWith("plain")), []);
  },
  "values are reported exactly, or refused": async ({ says }) => {
    assertEquals(await says(["?values.1"], 9), [
      ":values.1",
      "=a -2147483648",
      "=b 4294967295",
      "=c -21.6",
      "=f 0.00",
      "=g 3",
      "=h half past two",
      "=i@4294967295 3.14",
      "!k",
    ]);
  },
  "each request to the server has its own tag, and the answer carries it": async (
    { sketch, device, says },
  ) => {
    const tags: string[] = [];
    for (const [line, answer] of [["!ask now", ":time.TAG 5"], ["!ask", "~time.TAG unknown"]]) {
      const [asked] = await says([line!], 1);
      const [, tag, value] = asked!.match(/^\?time\.(\d+)( now)?$/) ?? [];
      assertEquals(value !== undefined, line === "!ask now");
      await until(() => sketch.lines.includes(`asked ${tag}`), { what: () => sketch.story });
      await device.write(answer!.replace("TAG", tag!));
      await until(() => sketch.lines.includes(`answered ${tag}`), { what: () => sketch.story });
      tags.push(tag!);
    }
    assertEquals(Number(tags[1]), Number(tags[0]) + 1);
  },
  "a sketch marks the same lines as the server, and answers those that need an answer": async (
    { sketch, device, says },
  ) => {
    const seed = Number(Deno.env.get("HOLDFAST_SEED") ?? Math.floor(Math.random() * 2 ** 32));
    const random = new Random(seed);
    const texts = Array.from({ length: 2000 }, () => almostMarked(random))
      .map((text) => new TextDecoder().decode(new TextEncoder().encode(text)))
      // Texts that fit into 256 bytes and on one line of output.
      .filter((text) => text !== "" && text.length < 85 && [...text].every((c) => c >= " "));
    const meant = texts.map((text) => ({ text, marked: heardByChip(text) }));
    // As many at a time as may wait at the server.
    for (let from = 0; from < meant.length; from += 50) {
      const some = meant.slice(from, from + 50);
      const answers = some.filter(({ marked }) => marked?.answers)
        .map(({ text }) => `~${text.slice(1).split(" ")[0]} unknown`);
      const said = await says(some.map(({ text }) => text), answers.length);
      assertEquals(said, answers, `HOLDFAST_SEED=${seed}`);
    }
    await device.write("the end");
    await until(() => sketch.lines.at(-1) === "plain the end", { what: () => sketch.story });
    assertEquals(
      sketch.lines.slice(0, -1),
      meant.map(({ text, marked }) => marked ? `call ${marked.value}` : `plain ${text}`),
      `HOLDFAST_SEED=${seed}`,
    );
  },
};

toolTest("channels of a sketch, by hand", GPP, async (tools, t) => {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
  try {
    const program = `${folder}/channels`;
    await buildSketch(tools["g++"], here("channels.cpp"), program);
    for (const [name, converse] of Object.entries(conversations)) {
      await t.step(name, () => byHand(program, converse));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

toolTest("the example Thermostat does what the one in AssemblyScript does", GPP, async (tools) => {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const example = await Deno.readTextFile(`${LIBRARY}/examples/Thermostat/Thermostat.ino`);
  const program = `${folder}/thermostat`;
  // With the scene's id, and a shorter period.
  await Deno.writeTextFile(
    `${program}.ino`,
    example.replace('"kitchen"', '"1"').replace("10000", "400"),
  );
  await buildSketch(tools["g++"], `${program}.ino`, program);
  await thermostat(async (port, timeout) => {
    const proxy = await FaultProxy.start({ target: { port } });
    const plugIn = () =>
      new Sketch(program, {
        HOLDFAST_AT: `${proxy.port}`,
        HOLDFAST_SPEED: `${2000 / timeout}`, // the sketch has 2,000 ms
        HOLDFAST_RTC: `${folder}/rtc`,
        HOLDFAST_EEPROM: `${folder}/eeprom`,
        HOLDFAST_STDIN: "1",
      });
    let analogue = 512;
    let sketch = plugIn();
    const connected = async (connected: boolean) => {
      const server = () => proxy.connections > 0;
      await until(() => {
        sketch.check();
        return server() === connected;
      }, { what: `a connection: ${connected}` });
    };
    return {
      pin: (pin) => {
        sketch.check();
        const said = sketch.lines.findLast((line) => line.startsWith(`pin ${pin} `));
        return Number(said?.split(" ")[2] ?? 0);
      },
      setPin: (pin, level) => sketch.say(`pin ${pin} ${level}`),
      setAnalogue: (value) => sketch.say(`analogue ${analogue = value}`),
      async cut() {
        await connected(true);
        proxy.blackhole();
      },
      async mend() {
        proxy.restore({ drop: true });
        await connected(true);
      },
      async reset() {
        await sketch.kill();
        sketch = plugIn();
        sketch.say(`analogue ${analogue}`);
      },
      async [Symbol.asyncDispose]() {
        await sketch[Symbol.asyncDispose]();
        await proxy.close();
      },
    };
  });
});
