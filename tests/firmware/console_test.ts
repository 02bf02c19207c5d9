/** What a chip reports: its console, the same lines at the server, and the hello's metadata. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type LogEntry, Server } from "../../server/mod.ts";
import { compile } from "../support/compile.ts";
import { until } from "../support/wait.ts";
import { application, chipTest, isUp, line, plugIn } from "./support.ts";

const SPEED = 20;
const TIMEOUT = 2000;

async function listen(timeout = TIMEOUT) {
  const log: LogEntry[] = [];
  const heard: string[] = [];
  const server = await Server.listen({
    port: 0,
    hostname: "127.0.0.1",
    timeout,
    open: true,
    log: (entry) => log.push(entry),
    app: async (device) => {
      for await (const line of device) heard.push(line);
    },
  });
  const lines = () =>
    log.filter(({ event }) => event === "log").map((entry) => entry.message ?? "");
  return {
    server,
    log,
    heard,
    lines,
    port: server.port,
    [Symbol.asyncDispose]: () => server.close(),
  };
}

chipTest("the console shows the start, WiFi and link in this order, and no secret", async () => {
  const timeout = 20_000; // the link lasts, however busy this machine is
  await using end = await listen(timeout);
  await using board = await plugIn({
    port: end.port,
    id: "a b%",
    application: application("main"),
    speed: SPEED,
    settings: { timeout: timeout * SPEED, ssid: "My home\u00e9", password: "very secret" },
  });
  await line(board, "app: [1,0,");
  const lines = board.lines.filter((l) => !l.startsWith("app: "))
    .map((l) => l.replace(/heap=\d{5}$/, "heap=N").replace(/bytes=\d{4}$/, "bytes=N"));
  assertEquals(lines, [
    "holdfast: boot version=0.1.0 board=emulator reset=power-on heap=N",
    `holdfast: settings id=a%20b%25 server=127.0.0.1:${end.port} ssid=My%20home\u00e9 key=no`,
    "holdfast: application name=main bytes=N",
    "holdfast: wifi joining ssid=My%20home\u00e9",
    "holdfast: wifi up ip=192.168.1.31",
    `holdfast: link connecting server=127.0.0.1:${end.port}`,
    "holdfast: link up connects=1",
  ]);
  assert(!board.lines.join().includes("secret"));
  assertEquals(end.lines(), []); // this was not enabled
});

chipTest(
  "with `log`, lines go to the server's log and not to its application; the metadata says why it started",
  async () => {
    await using end = await listen();
    await using board = await plugIn({
      port: end.port,
      id: "1",
      application: application("main"),
      speed: SPEED,
      settings: { timeout: TIMEOUT * SPEED, log: true },
    });
    await until(() => end.lines().some((l) => l.startsWith("app: [1,0,")), {
      what: "the application's line",
    });
    assertEquals(end.lines().slice(0, 2), ["holdfast: link up connects=1", "app: Link up"]);
    const device = await end.server.device("1");
    assertMatch(
      device.metadata,
      /^reset=power-on version=0.1.0 board=emulator app=main\/0\/\S{8} ms=\d{10}$/,
    );
    board.reset("external");
    await until(() => device.metadata.startsWith("reset=external"), { what: "the next hello" });
    await until(() => end.heard.length > 1, { what: "messages" });
    for (const text of end.heard) assert(text.startsWith("["), text);
  },
);

chipTest(
  "an application that logs without end: the console shows it, the server gets some of it and the number of missing lines",
  async () => {
    await using end = await listen();
    const wasm = await compile(`
    export * from "../assembly/core";
    import { begin, byte, every, show, text } from "../assembly/app";
    export function onStart(): void { every(20); }
    export function onTick(): void {
      for (let n = 0; n < 20; n++) {
        begin(200);
        text("a long line of the application's, ");
        for (let i = 0; i < 100; i++) byte(0x61 + i % 26);
        byte(7); // a control character is none on the console
        show();
      }
    }
  `);
    await using board = await plugIn({
      port: end.port,
      id: "1",
      application: { name: "chatty", wasm },
      speed: SPEED,
      settings: { timeout: TIMEOUT * SPEED, log: true },
    });
    await until(() => end.lines().length > 20, { what: "lines at the server" });
    await until(() => board.lines.length > 2000, { what: "lines on the console" });
    assert(board.lines.findLast((l) => l.startsWith("app: "))!.endsWith("?"));
    await until(() => end.lines().some((l) => /^holdfast: log lost=\d+$/.test(l)), {
      what: "the count",
    });
    assert(isUp(board));
    assertEquals(board.boots, 1);
  },
);
