/** How a chip handles wrong settings, applications and bytes. */
import { assert, assertEquals } from "@std/assert";
import { encodeApplication } from "../../bridge/formats/application.ts";
import {
  Command,
  decodeFieldsRead,
  decodeResult,
  decodeTexts,
  encodeChanges,
  encodeCommand,
  encodeWifi,
  Failure,
  type Frame,
  FrameReader,
  FrameType,
} from "../../bridge/formats/improv.ts";
import { decodeSettings, encodeSettings } from "../../bridge/formats/settings.ts";
import { Emulator } from "../../bridge/esp8266/emulator/emulator.ts";
import { Server } from "../../server/mod.ts";
import { compile } from "../support/compile.ts";
import { Random } from "../support/random.ts";
import { RawServer } from "../support/raw.ts";
import { until } from "../support/wait.ts";
import { application, chipTest, firmware, isUp, line, plugIn } from "./support.ts";

const SETTINGS = 0xfa000;

/** A server that takes all messages, and a list of them. */
async function listen() {
  const heard: string[] = [];
  const server = await Server.listen({
    port: 0,
    hostname: "127.0.0.1",
    open: true,
    app: async (device) => {
      for await (const line of device) heard.push(line);
    },
  });
  return { server, heard, port: server.port, [Symbol.asyncDispose]: () => server.close() };
}

/** Collects a chip's frames on its serial line. */
function frames() {
  const reader = new FrameReader();
  const seen: Frame[] = [];
  const onSerial = (bytes: Uint8Array) => void seen.push(...reader.push(bytes).frames);
  const answer = (command: number, from = 0) =>
    until(() => seen.slice(from).map(decodeResult).find((result) => result?.command === command), {
      what: `an answer to ${command}, in ${JSON.stringify(seen.slice(from))}`,
    });
  return { seen, onSerial, answer };
}

chipTest(
  "blank settings: a chip waits, takes frames on its serial line, restarts and connects",
  async () => {
    await using end = await listen();
    const { onSerial, answer } = frames();
    await using board = new Emulator({
      firmware: await firmware(),
      application: application("main"),
      speed: 10,
      onSerial,
    });
    board.networks = [{ ssid: "Home", rssi: -60, locked: true }];
    await line(board, "holdfast: settings blank: waiting for settings");
    await line(board, "holdfast: application name=main");

    board.type(encodeCommand(Command.info));
    const info = decodeTexts((await answer(Command.info)).data);
    assertEquals(info, ["Holdfast", "0.1.0", "ESP8266", "emulator"]);
    board.type(encodeCommand(Command.scan));
    assertEquals(decodeTexts((await answer(Command.scan)).data), ["Home", "-60", "YES"]);
    assertEquals(board.joins, 0);

    // Server and id first: the chip still lacks WiFi, and says so.
    const key = crypto.getRandomValues(new Uint8Array(32));
    for (const frame of encodeChanges({ server: "127.0.0.1", port: end.port, id: "new" })) {
      board
        .type(frame);
    }
    await line(board, "settings incomplete: waiting for settings");
    assertEquals(board.boots, 2);
    for (const frame of encodeChanges({ key, timeout: 20_000 })) board.type(frame);
    await until(() => board.boots === 3, { what: "a restart" });
    board.type(encodeCommand(Command.get));
    const { settings, key: hasKey } = decodeFieldsRead((await answer(Command.get)).data);
    assertEquals([settings.id, settings.port, hasKey], ["new", end.port, true]);
    for (const frame of encodeChanges({ key: null })) board.type(frame);
    await until(() => board.boots === 4, { what: "a restart" });

    board.type(encodeWifi("Home", "12345678"));
    await until(() => isUp(board), {
      what: () => `the link:\n${board.lines.slice(-9).join("\n")}`,
    });
    await until(() => end.heard.length > 0, { what: "a message" });
    assert(!board.lines.some((l) => l.includes("12345678") || l.includes(key.toHex())));
  },
);

chipTest("settings damaged in any byte: the chip says so, waits, and takes new ones", async () => {
  const sector = encodeSettings({
    ssid: "Home",
    server: "127.0.0.1",
    id: "1",
    password: "12345678",
  });
  for (const [at, word] of [[0, "magic"], [4, "version"], [20, "checksum"]] as const) {
    const damaged = sector.slice();
    damaged[at]! ^= 1;
    const { onSerial, seen } = frames();
    await using board = new Emulator({
      firmware: await firmware(),
      application: application("main"),
      settings: damaged,
      onSerial,
    });
    await line(board, `holdfast: settings damaged (${word}): waiting for settings`);
    await line(board, "application name");
    assertEquals(board.joins, 0);
    board.type(encodeCommand(Command.set, Uint8Array.of(4, 1, 1))); // a port of one byte
    await until(
      () => seen.some(({ type, data }) => type === FrameType.error && data[0] === Failure.invalid),
      {
        what: "a refusal",
      },
    );
    for (const frame of encodeChanges({ ssid: "Home", server: "127.0.0.1", id: "2" })) {
      board.type(frame);
    }
    await line(board, "holdfast: settings id=2");
    assertEquals(decodeSettings(board.flash.subarray(SETTINGS, SETTINGS + 4096)).state, "ok");
  }
});

const good = () => application("main").wasm;

const broken: [
  what: string,
  area: () => Uint8Array | undefined | Promise<Uint8Array>,
  said: string,
][] = [
  ["missing", () => undefined, "application missing"],
  ["something else", () => new Uint8Array(4096).fill(7), "application damaged (magic)"],
  [
    "of another version",
    () => change(encodeApplication("x", good()), 4),
    "application damaged (version)",
  ],
  [
    "longer than its area",
    () => change(encodeApplication("x", good()), 10),
    "application damaged (length)",
  ],
  ["damaged", () => change(encodeApplication("x", good()), 1000), "application damaged (checksum)"],
  [
    "no module",
    () => encodeApplication("x", new TextEncoder().encode("hello, world")),
    "application refused: ",
  ],
  ["cut off", () => encodeApplication("x", good().slice(0, 3000)), "application refused: "],
  [
    "without the core",
    () => encodeApplication("x", Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)),
    "application refused: ",
  ],
  [
    "one that needs what no board has",
    async () =>
      encodeApplication(
        "x",
        await compile(`export * from "../assembly/core";
          @external("board", "fly") declare function fly(height: i32): void;
          export function onTick(): void { fly(3); }`),
      ),
    "application refused: needs board.fly",
  ],
  [
    "one that uses an import in another way",
    async () =>
      encodeApplication(
        "x",
        await compile(`export * from "../assembly/core";
          @external("board", "millis") declare function millis(zone: i32): i32;
          export function onTick(): void { millis(1); }`),
      ),
    "application refused: another kind of board.millis",
  ],
  [
    "one with data so long that its end address wraps around",
    () =>
      // Data for memory 0, at 0x10000010, 0xF0000000 bytes long.
      encodeApplication(
        "x",
        Uint8Array.of(
          ...application("remote_tx").wasm,
          ...[11, 14, 1, 0, 0x41, 0x90, 0x80, 0x80, 0x80, 0x01, 0x0b, 0x80, 0x80, 0x80, 0x80, 0x0f],
        ),
      ),
    "application refused: data segment underflow",
  ],
  ...[[0xff, 0xff, 0xff, 0xff, 0x07], [0x7f]].map((offset): (typeof broken)[number] => [
    "one with data behind its memory, or before it",
    () =>
      encodeApplication(
        "x",
        Uint8Array.of(
          ...application("remote_tx").wasm,
          ...[11, 6 + offset.length, 1, 0, 0x41, ...offset, 0x0b, 1, 0x55],
        ),
      ),
    "application refused: data segment out of bounds",
  ]),
  [
    "one that counts in 64 bits",
    async () =>
      encodeApplication(
        "x",
        await compile(`export * from "../assembly/core";
          let sum: i64 = 1;
          export function onTick(): void { sum += sum; }`),
      ),
    "application refused: ",
  ],
];

function change(area: Uint8Array, at: number): Uint8Array {
  area[at]! ^= 0x40;
  return area;
}

chipTest("an impossible application: the chip says why, and can still be reached", async () => {
  for (const [what, area, said] of broken) {
    const { onSerial, answer } = frames();
    const bytes = await area();
    await using board = await plugIn({
      port: 1,
      id: "1",
      ...(bytes ? { application: bytes } : {}),
      onSerial,
    });
    await line(board, `holdfast: ${said}`).catch((error) => {
      throw new Error(`${what}: ${error.message}`);
    });
    board.type(encodeCommand(Command.info));
    await answer(Command.info);
    assertEquals(board.joins, 0, what);
    board.check();
  }
});

for (const aot of [false, true]) {
  const how = aot ? " in the firmware" : "";
  chipTest(
    `an application${how} that traps: the chip reports it and restarts it, with pauses`,
    async () => {
      await using end = await listen();
      const wasm = await compile(`
        export * from "../assembly/core";
        import { every } from "../assembly/app";
        export function onStart(): void { every(1000); }
        export function onTick(): void { unreachable(); }
      `);
      const traps = { name: "traps", wasm };
      const { onSerial, answer } = frames();
      await using board = await plugIn({
        port: end.port,
        id: "1",
        ...(aot ? { firmware: await firmware([], traps) } : { application: traps }),
        speed: 10,
        settings: { timeout: 20_000 },
        onSerial,
      });
      await line(board, "holdfast: application failed: [trap] unreachable executed");
      const from = board.lines.length;
      board.type(encodeCommand(Command.info)); // the chip can still be reached
      await answer(Command.info);
      await line(board, "reset=software", from); // 5 s of its clock later
      await line(board, "holdfast: link up", from);
      await line(board, "holdfast: application failed", from);
    },
  );
}

chipTest("an application that never returns: the watchdog resets the chip", async () => {
  const wasm = await compile(`
    export * from "../assembly/core";
    import { every, random } from "../assembly/app";
    export function onStart(): void { every(10); }
    export function onTick(): void { while (random() != 0 || random() != 0 || random() != 0) {} }
  `);
  await using board = await plugIn({
    port: 1,
    id: "1",
    application: { name: "hangs", wasm },
    watchdog: 2000,
  });
  await line(board, "holdfast: boot version=0.1.0 board=emulator reset=power-on");
  await line(board, "holdfast: boot version=0.1.0 board=emulator reset=watchdog");
});

chipTest("a chip that hangs is reset by its watchdog, and goes on", async () => {
  await using end = await listen();
  await using board = await plugIn({
    port: end.port,
    id: "1",
    application: application("main"),
    watchdog: 2000,
  });
  await until(() => isUp(board), { what: "the link" });
  board.hang();
  const from = board.lines.length;
  await line(board, "reset=watchdog", from);
  await line(board, "link up", from);
  await until(() => end.server.devices[0]?.metadata?.includes("reset=watchdog"), {
    what: () => `the reason at the server: ${end.server.devices[0]?.metadata}`,
  });
});

chipTest("garbage on the serial line changes nothing, and frames after it are found", async () => {
  await using end = await listen();
  const { onSerial, answer, seen } = frames();
  await using board = await plugIn({
    port: end.port,
    id: "1",
    application: application("main"),
    speed: 10,
    settings: { timeout: 20_000 },
    onSerial,
  });
  await until(() => isUp(board), { what: "the link" });
  const before = board.flash.slice(SETTINGS);
  const random = new Random(3);
  for (let n = 0; n < 40; n++) {
    board.type(random.bytes(200));
    const frame = encodeChanges({ id: "evil" })[0]!;
    frame[n % frame.length]! ^= 1 << n % 8;
    if (n % frame.length < frame.length - 1) board.type(frame); // its newline is not checked
  }
  board.type(new Uint8Array(600)); // ends any frame that seemed to have begun
  const from = seen.length;
  board.type(encodeCommand(Command.info));
  await answer(Command.info, from);
  assertEquals(board.flash.slice(SETTINGS), before);
  assertEquals(board.boots, 1);
  assert(isUp(board));
});

chipTest(
  "a network that is missing or does not admit the chip is reported, and tried again",
  async () => {
    await using end = await listen();
    await using board = await plugIn({
      port: end.port,
      id: "1",
      application: application("main"),
      speed: 20,
      settings: { timeout: 40_000 },
    });
    for (const outcome of ["not-found", "wrong-password", "refused"] as const) {
      board.wifi = outcome;
      board.loseWifi();
      await line(board, `holdfast: wifi down reason=${outcome}`);
    }
    board.wifi = "silent"; // it reports neither success nor failure
    const joins = board.joins;
    await until(() => board.joins > joins + 1, { what: "a join given up" });
    board.wifi = "up";
    const from = board.lines.length;
    await line(board, "holdfast: wifi up ip=192.168.1.31", from);
    await line(board, "link up", from);
  },
);

for (const closes of [false, true]) {
  const what = closes ? "and hangs up" : "and holds the line";
  chipTest(
    `a server that talks on behind a line that ends the link, ${what}: the chip drops it, and tries again`,
    async () => {
      // Answers like a web server, with an error page.
      await using server = new RawServer(async (peer) => {
        await peer.sayIfHeard(`zz\n${"x".repeat(1457)}`);
        if (closes) peer.close();
      });
      await using board = await plugIn({
        port: server.port,
        id: "1",
        application: application("main"),
        speed: 10,
      });
      await server.peer(2);
      await line(board, "holdfast: link down reason=BAD");
      assertEquals(board.boots, 1);
    },
  );
}
