import { assert, assertEquals, assertMatch } from "@std/assert";
import { toolTest } from "../support/tools.ts";
import { Contestant, Loader } from "./processes.ts";
import { asText, median, quantile } from "./report.ts";

const MAIN = `${import.meta.dirname}/main.ts`;

async function bench(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out: out!, err: err! };
}

Deno.test("the benchmark measures all servers, and what was acknowledged was delivered", async () => {
  const { code, out, err } = await bench("--only", "roundtrip", "--rounds", "1", "--json");
  assertEquals(code, 0, err);
  const { machine, sections: [section] } = JSON.parse(out);
  assertEquals(machine.deno, Deno.version.deno);
  const servers = section.rows.map((row: { server: string }) => row.server);
  assertEquals(servers, ["bare", "holdfast", "holdfast, host client", "bare", "holdfast"]);
  for (const { rate, p50 } of section.rows) assert(rate > 0 && p50 > 0, out);
  assertEquals(section.aims.length, 2);
});

Deno.test("the loader speaks both dialects, to a store on disk too", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using server = await Contestant.holdfast(["--store", `${folder}/bench.db`]);
    await using loader = new Loader();
    for (const dialect of [1, 2] as const) {
      await loader.open(server.port, ["1", "2", "3"], dialect);
      const { rate } = await loader.run(8, 20, 100);
      assert(rate > 0 && (await loader.close()).acked > 0);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

toolTest(
  "what a broker has acknowledged it has delivered",
  { mosquitto: "mosquitto" },
  async ({ mosquitto }) => {
    const folder = await Deno.makeTempDir();
    try {
      await using broker = await Contestant.mosquitto(mosquitto, folder);
      await using loader = new Loader("mqtt.ts");
      for (const ids of [["1"], ["1", "2", "3"]]) {
        await loader.open(broker.port, ids);
        const { rate } = await loader.run(8, 20, 100);
        assert(rate > 0 && (await loader.close()).acked > 0); // it fails if they differ
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("an option that the benchmark does not know is refused with its help", async () => {
  for (const args of [["--only", "speed"], ["--rounds", "0"], ["--reference", "/"], ["--fast"]]) {
    const { code, out, err } = await bench(...args);
    assertEquals([code, out], [2, ""]);
    assertMatch(err, /^bench: .*\n\ndeno task bench/);
  }
});

Deno.test("a median is the value in the middle", () => {
  assertEquals(median([9, 1, 2]), 2);
  assertEquals(quantile(Array.from({ length: 100 }, (_, i) => i), 0.99), 99);
  assertEquals(median([]), NaN);
});

Deno.test("a section is shown as a table, and its budgets with what became of them", () => {
  const text = asText([{
    title: "Speeds",
    columns: [{ key: "who", title: "who" }, { key: "rate", title: "rate", digits: 1 }],
    rows: [{ who: "hare", rate: 1234.56 }, { who: "hedgehog", rate: undefined }],
    aims: [{ what: "first", aim: "the hare", measured: "the hedgehog", met: false }],
  }]);
  assertEquals(
    text,
    `Speeds

| who      |    rate |
| -------- | ------: |
| hare     | 1,234.6 |
| hedgehog |       - |

| budget | aim      | measured     |        |
| ------ | -------- | ------------ | ------ |
| first  | the hare | the hedgehog | MISSED |`,
  );
});
