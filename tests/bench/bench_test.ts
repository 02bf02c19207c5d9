import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { existsSync } from "node:fs";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { outage, turnDown } from "./channels.ts";
import { runners } from "./herd.ts";
import { type Pace, runHerd, type Runner } from "./herd_run.ts";
import { Contestant, Loader } from "./processes.ts";
import { asText, median, quantile } from "./report.ts";
import { KEY, keyFile } from "./suites.ts";

const MAIN = `${import.meta.dirname}/main.ts`;

async function bench(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", MAIN, ...args],
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
  const all = ["bare", "bare, node:net", "holdfast"];
  assertEquals(servers, [...all, "holdfast, host client", ...all]);
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

Deno.test("the loader proves its key, and seals its lines", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using loader = new Loader();
    for (const suite of ["02", "03", "04"] as const) {
      const path = `${folder}/${suite}.json`;
      await Deno.writeTextFile(path, keyFile(suite), { mode: 0o600 });
      await using server = await Contestant.holdfast(["--keys", path]);
      await loader.open(server.port, ["1", "2", "3"], 2, { proof: { suite, key: KEY } });
      const { rate } = await loader.run(8, 20, 100);
      assert(rate > 0 && (await loader.close()).acked > 0);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("devices report, and get settings and requests; of the settings in an outage only the last are sent", async () => {
  await using server = await Contestant.script("channels", "channel_server.ts", []);
  await using answerers = await Contestant.script("answerers", "channel_load.ts", []);
  await using loader = new Loader();
  await loader.open(server.port, ["reports 1", "handled 1"], 2, { says: "reports" });
  const { rate } = await loader.run(8, 20, 100);
  assert(rate > 0 && (await loader.close()).acked > 0);

  for (const what of ["lines", "settings", "requests"] as const) {
    const ids = [`${what === "lines" ? what : "things"} 1`];
    const { rate, p50, p99 } = await turnDown(server, answerers, { ids, do: what }, 2, 100);
    assert(rate > 0 && p50 > 0 && p99 >= p50, what);
  }
  const { ms, messages, bytes } = await outage(server, answerers, 1000);
  assert(ms > 0 && messages === 10 && bytes > 100, JSON.stringify({ ms, messages, bytes }));
});

toolTest(
  "a broker has delivered what it acknowledged",
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

toolTest(
  "over the bridge, npm mqtt and a plain publisher, each message reaches a subscriber once",
  { mosquitto: "mosquitto" },
  async () => {
    const { code, out, err } = await bench("--only", "mqtt", "--rounds", "1", "--json");
    assertEquals(code, 0, err); // it fails if one is lost or doubled
    const { sections: [section] } = JSON.parse(out);
    assertEquals(section.rows.length, 2 * 4);
    for (const row of section.rows) {
      const { rate, toPlain, toPackage, p50, p99 } = row;
      assert(rate > 0 && toPlain > 0 && toPackage > 0 && p50 > 0 && p99 >= p50, out);
    }
  },
);

const PACE: Pace = { settle: 400, idle: 400, write: 600, gather: 30_000 };

Deno.test("a herd connects, stays connected, reconnects after a SIGKILL, and its messages are delivered", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const runner of runners(200, folder).slice(1)) {
      const found = await runHerd(runner, 200, PACE);
      const { left, lost, blamed, missing, up, back, memory, idle, herdIdle } = found;
      const none = { early: 0, closed: 0, silent: 0 };
      assertEquals({ left, lost, blamed, missing }, {
        left: 200,
        lost: none,
        blamed: 0,
        missing: 0,
      });
      assert(found.attempts >= 400 && up! > 0 && back! > 0 && memory! > 0, JSON.stringify(found));
      assert(idle! >= 0 && herdIdle! >= 0 && found.p50! > 0 && found.p99! >= found.p50!);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

function stub(...options: string[]): Runner {
  const start = (port: number) =>
    Contestant.script("stub", "herd_stub.ts", ["--port", `${port}`, ...options]);
  return { name: "stub", start, holdfast: false };
}

Deno.test("links that a server ends or forgets are counted, and so are its log's entries about them", async () => {
  // Long enough to notice that a server is silent, before the SIGKILL and after it.
  const pace = { ...PACE, idle: 3000, settle: 1500 };
  const found = await runHerd(stub("--close", "3", "--mute", "2"), 200, pace);
  assertEquals([found.blamed, found.left], [2 * (1 + 3), 200]);
  assertEquals([found.lost.early, found.lost.closed], [0, 2 * 3]);
  // On a busy machine the last two may not have been noticed yet.
  assert(found.lost.silent >= 2 && found.lost.silent <= 2 * 2, JSON.stringify(found));
});

Deno.test("a server that acknowledges what was not sent gets no figures", async () => {
  await assertRejects(() => runHerd(stub("--garble", "1"), 20, PACE), Error, "ack 7f");
});

Deno.test({
  name: "no process of a benchmark outlives the benchmark, however that ends",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const script = `import { Busy, Contestant, HerdLoader } from "${
      import.meta.resolve("./processes.ts")
    }";
      const all = [new Busy(), new HerdLoader(), await Contestant.bareNet(), await Contestant.holdfast()];
      console.log(JSON.stringify(all.map(({ pid }) => pid)));
      await new Promise(() => {});`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--config", `${import.meta.dirname}/../../deno.json`, script],
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const pids: number[] = JSON.parse((await reader.read()).value!);
    const loops = (await Deno.readTextFile(`/proc/${pids[0]}/task/${pids[0]}/children`)).split(" ");
    const files = [...pids, ...loops.filter((pid) => pid !== "")].map((pid) => `/proc/${pid}`);
    assertEquals(files.length, 6); // the busy loop, and the process that waits for the end of input
    child.kill("SIGKILL");
    await reader.cancel();
    await child.status;
    await until(() => !files.some((file) => existsSync(file)), { what: "all processes to end" });
  },
});

Deno.test("an option that the benchmark does not know is refused with its help", async () => {
  for (
    const args of [
      ["--only", "speed"],
      ["--rounds", "0"],
      ["--devices", "0"],
      ["--reference", "/"],
      ["--fast"],
    ]
  ) {
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

Deno.test("a section is shown as a table, and its budgets with their results", () => {
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
