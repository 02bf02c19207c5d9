/** The console and Improv-Serial, with an emulated board whose program prints what the firmware would. */
import { assertEquals, assertRejects } from "@std/assert";
import { encodeSettings, type Settings } from "../../bridge/formats/settings.ts";
import { encodeApplication } from "../../bridge/formats/application.ts";
import { APPLICATION, firmwareIn, SETTINGS, type World } from "./firmware/stand_in.ts";
import type { Firmware } from "./chip/chip.ts";
import { makeImage } from "./chip/image.ts";
import { until } from "../support/wait.ts";
import { CablePort } from "./chip/cable_port.ts";
import { FlashError } from "../../bridge/flasher/chip/errors.ts";
import { Console } from "../../bridge/flasher/console/console.ts";
import { Diagnosis } from "../../bridge/flasher/console/diagnosis.ts";
import { ImprovClient } from "../../bridge/flasher/console/improv_client.ts";

const WORLD: World = {
  networks: { Home: "correct horse", "Café Zoë": "" },
  servers: { "192.168.1.10:8123": {} },
};
const HOME: Settings = {
  ssid: "Home",
  password: "correct horse",
  server: "192.168.1.10",
  id: "kitchen",
};

/** A board with this program, and its console. */
async function listening(firmware: Firmware, settings?: Settings) {
  const port = new CablePort({ flashSize: 1 << 20, firmware });
  const { flash } = port.chip;
  flash.program(0, makeImage(0x40100000, [{ address: 0x40100000, data: new Uint8Array(64) }]));
  flash.program(APPLICATION, encodeApplication("main", new Uint8Array(100)));
  if (settings) flash.program(SETTINGS, encodeSettings(settings));
  const lines: string[] = [];
  const lost: FlashError[] = [];
  const diagnosis = new Diagnosis();
  const improv: ImprovClient = new ImprovClient((bytes) => console.send(bytes));
  const console = await Console.open(port, {
    line(text) {
      lines.push(text);
      diagnosis.push(text);
    },
    frame: (frame) => improv.receive(frame),
    lost: (error) => void lost.push(error),
  }, true);
  return {
    port,
    console,
    improv,
    lines,
    lost,
    diagnosis,
    says: (text: string) => until(() => lines.find((line) => line.includes(text)), { what: text }),
    [Symbol.asyncDispose]: () => console.close(),
  };
}

Deno.test("the console shows the program's output from its first line, without the ROM's noise", async () => {
  await using board = await listening(firmwareIn(WORLD), HOME);
  await board.says("app: hello");
  assertEquals(board.lines.filter((line) => !/^(holdfast|app): /.test(line)), []);
  assertEquals(
    board.lines[0],
    "holdfast: boot version=0.1.0 board=nonos reset=external heap=31240",
  );
  assertEquals(board.diagnosis.verdict.headline, "This device is on the server.");
  const before = board.lines.length;
  await board.console.restart();
  await until(() => board.lines.slice(before).includes("app: hello from the application"), {
    what: () => board.lines.join("\n"),
  });
});

Deno.test("an unplugged board is reported once, and the port is closed", async () => {
  await using board = await listening(firmwareIn(WORLD), HOME);
  await board.says("boot");
  board.port.cable.unplug();
  await until(() => board.lost[0], { what: "lost" });
  assertEquals(board.lost.map(({ code }) => code), ["LOST"]);
  await assertRejects(() => board.console.send(new Uint8Array(1)), FlashError, "lost");
  await board.console.close();
  assertEquals(board.port.cable.isOpen, false);
  board.port.cable.plug();
  const again = await Console.open(board.port, { line() {}, frame() {}, lost() {} }, true);
  await again.close();
});

Deno.test("a board without settings joins a network by Improv-Serial", async () => {
  await using board = await listening(firmwareIn(WORLD), { ...HOME, ssid: "Old" });
  await board.says("reason=not-found");
  const { improv } = board;
  const info = await improv.info();
  assertEquals([info.firmware.toLowerCase(), info.version, info.chip], [
    "holdfast",
    "0.1.0",
    "ESP8266",
  ]);
  assertEquals(await improv.networks(), [
    { ssid: "Home", strength: -61, secure: true },
    { ssid: "Café Zoë", strength: -61, secure: false },
  ]);
  assertEquals((await improv.settings())?.settings.ssid, "Old");
  await improv.join("Home", "correct horse");
  await board.says("link up");
  assertEquals((await improv.settings())?.settings, {
    ssid: "Home",
    server: "192.168.1.10",
    id: "kitchen",
  });
});

Deno.test("other settings are changed by Improv-Serial, too", async () => {
  await using board = await listening(firmwareIn(WORLD), { ...HOME, server: "10.0.0.1" });
  await board.says("reason=NO_ANSWER");
  await board.improv.change({ server: "192.168.1.10" });
  await board.says("link up");
});

Deno.test("firmware without Improv-Serial: the wait for an answer ends with an error", async () => {
  await using board = await listening((b) => {
    b.print("hello\r\n");
    return { baud: 115200, receive() {} };
  });
  await board.says("hello");
  const error = await assertRejects(() => board.improv.info(), FlashError);
  assertEquals(error.code, "NO_IMPROV");
  assertEquals(await board.improv.settings(), undefined);
  assertEquals(board.diagnosis.overdue(), true);
  assertEquals(
    board.diagnosis.verdict.headline,
    "The board runs something, but not Holdfast’s firmware.",
  );
});

Deno.test("a board that is unplugged while it restarts: the port is closed", async () => {
  const port = new CablePort();
  const opened = port.open.bind(port);
  port.open = async (options) => {
    await opened(options);
    queueMicrotask(() => port.cable.unplug());
  };
  const events = { line() {}, frame() {}, lost() {} };
  const error = await assertRejects(() => Console.open(port, events, true), FlashError);
  assertEquals([error.code, port.cable.isOpen, port.readable], ["LOST", false, null]);
});

Deno.test("if the speed is changed again during a change, the last one counts", async () => {
  await using board = await listening(firmwareIn(WORLD), HOME);
  await board.says("app: hello");
  const before = board.lines.length;
  const changes = [74880, 115200, 74880].map((baud) => board.console.listenAt(baud, false));
  await board.console.restart(); // at the firmware's speed, whatever was requested before
  await Promise.all(changes);
  assertEquals(board.lost, []);
  await until(() => board.lines.slice(before).includes("app: hello from the application"), {
    what: () => board.lines.join("\n"),
  });
  const closing = board.console.listenAt(74880, true);
  await board.console.close();
  await closing;
  assertEquals([board.port.cable.isOpen, board.lost], [false, []]);
});

Deno.test("a console on a port that another program uses", async () => {
  const port = new CablePort();
  await port.open({ baudRate: 9600 });
  const events = { line() {}, frame() {}, lost() {} };
  const error = await assertRejects(() => Console.open(port, events, false), FlashError);
  assertEquals(error.code, "PORT_BUSY");
  await port.close();
});
