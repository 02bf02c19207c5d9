/** A server with a store in a file, over real sockets. */
import { assertEquals, assertRejects } from "@std/assert";
import { TextLineStream } from "@std/streams";
import { DatabaseSync } from "node:sqlite";
import { helloLine, parseWelcome } from "../tests/support/greeting.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { LocalError } from "./protocol/errors.ts";
import { Server } from "./server.ts";

/** A device that speaks dialect 1. */
class Peer implements AsyncDisposable {
  #conn: Deno.Conn;
  #lines: ReadableStreamDefaultReader<string>;

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.#lines = conn.readable.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream()).getReader();
  }

  static async connect({ port }: Server, id: string): Promise<Peer> {
    const peer = new Peer(await Deno.connect({ port }));
    await peer.send(id);
    return peer;
  }

  async send(line: string): Promise<void> {
    const bytes = new TextEncoder().encode(`${line}\n`);
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  /** The next line that is no keepalive. */
  async line(): Promise<string> {
    for (;;) {
      const { value } = await this.#lines.read();
      if (value !== "") return value!;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines.cancel();
  }
}

Deno.test("while a message is too old, further ones are refused, also after a restart, until the device takes it", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  const store = `${folder}/holdfast.db`;
  const options = { store, port: 0, hostname: "127.0.0.1", open: true as const, timeout: 60_000 };
  const limits = { outboxAge: 3_600_000 };
  try {
    {
      await using server = await Server.listen(options);
      await using peer = await Peer.connect(server, "1");
      await peer.send("00boot");
      assertEquals(await peer.line(), "00");
      const device = await server.device("1");
      assertEquals(await device.readline(), "boot");
      device.write("old").catch(() => {}); // CLOSED, soon
      assertEquals(await peer.line(), "00old");
    }
    const db = new DatabaseSync(store);
    db.exec("UPDATE holdfast_outbox SET written = written - 3600000");
    db.close();
    {
      await using server = await Server.listen({ ...options, limits });
      await using peer = await Peer.connect(server, "1");
      const device = await server.device("1");
      const error = await assertRejects(() => device.write("new"), LocalError, "outboxAge");
      assertEquals(error.code, "OUTBOX_FULL");
      await peer.send("01x");
      assertEquals([await peer.line(), await peer.line()].sort(), ["00old", "01"]);
      await peer.send("00\n02y");
      assertEquals(await peer.line(), "02"); // and what came before it has arrived as well
      const written = device.write("new");
      assertEquals(await peer.line(), "01new");
      await peer.send("01");
      assertEquals(await written, true);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("a server with a store in a file continues where it stopped", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  const store = `${folder}/holdfast.db`;
  const options = { store, port: 0, hostname: "127.0.0.1", open: true as const };
  try {
    {
      await using server = await Server.listen(options);
      await using peer = await Peer.connect(server, "1");
      await peer.send("00boot");
      assertEquals(await peer.line(), "00");
      await peer.send("01one");
      assertEquals(await peer.line(), "01");
      await peer.send("02two");
      assertEquals(await peer.line(), "02");
      const device = await server.device("1");
      assertEquals(await device.readline(), "boot");
      const acknowledged = device.write("first");
      assertEquals(await peer.line(), "00first");
      await peer.send("00");
      assertEquals(await acknowledged, true);
      device.write("second").catch(() => {}); // its ack does not come
      assertEquals(await peer.line(), "01second");
      const second = await assertRejects(() => Server.listen(options), LocalError);
      assertEquals(second.code, "STORE_UNUSABLE");
      assertEquals(await device.readline(), "one"); // boot is done, this one is not
    }
    {
      await using server = await Server.listen(options);
      const device = await server.device("1"); // it has messages already
      assertEquals([device.connected, device.connects], [false, 1]);
      await using peer = await Peer.connect(server, "1");
      await peer.send("02two"); // as if its ack had been lost
      assertEquals([await peer.line(), await peer.line()].sort(), ["01second", "02"]);
      await peer.send("01");
      await peer.send("03three");
      assertEquals(await peer.line(), "03");
      for (const expected of ["one", "two", "three"]) {
        await device.consume((line) => assertEquals(line, expected));
      }
      assertEquals(device.connects, 2);
    }
    await using server = await Server.listen(options);
    await using peer = await Peer.connect(server, "1");
    await peer.send("04four");
    assertEquals(await peer.line(), "04");
    assertEquals(await (await server.device("1")).readline(), "four");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

/** A server on a file in which device "1" has an unprocessed message, so that the device is available at once. */
async function onFile(path: string): Promise<Scene> {
  const scene = await Scene.start({ store: path });
  await scene.server.device("1");
  return scene;
}

/** Device "1" greets with its position, and is admitted. */
async function greets(scene: Scene, txEpoch: number, rxNext: number) {
  const peer = await scene.dial(`${helloLine({ rxEpoch: txEpoch, rxNext })}\n`);
  const welcome = parseWelcome(await until(() => peer.lines[0]));
  await peer.say("\n");
  return { peer, welcome };
}

Deno.test("messages written on an old copy, and never sent, do not count as received by the device, even after a restart", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  const [path, copy] = [`${folder}/holdfast.db`, `${folder}/copy.db`];
  try {
    let txEpoch: number;
    {
      await using scene = await Scene.start({ store: path });
      const { peer, welcome } = await greets(scene, 0, 0);
      txEpoch = welcome.txEpoch;
      await peer.say("00unprocessed\n");
      const device = await scene.server.device("1");
      for (const n of [0, 1, 2]) {
        const written = device.write(`A${n}`);
        await peer.hears(`0${n}A${n}`);
        await peer.say(`0${n}\n`);
        await written;
      }
    }
    Deno.copyFileSync(path, copy);
    {
      // Meanwhile the device takes 3 to 7, which the copy knows nothing of.
      await using scene = await onFile(path);
      const { peer } = await greets(scene, txEpoch, 3);
      const device = await scene.server.device("1");
      for (const n of [3, 4, 5, 6, 7]) {
        const written = device.write(`B${n}`);
        await peer.hears(`0${n}B${n}`);
        await peer.say(`0${n}\n`);
        await written;
      }
    }
    const late = ["C0", "C1", "C2", "C3", "C4", "C5", "C6"];
    {
      await using scene = await onFile(copy);
      const device = await scene.server.device("1");
      for (const text of late) device.write(text).catch(() => {}); // CLOSED
    }
    await using scene = await onFile(copy);
    const { peer, welcome } = await greets(scene, txEpoch, 8);
    assertEquals((await scene.logs("warning")).code, "STORE_IS_OLD");
    assertEquals(welcome.txFirst, 3);
    await peer.hears(...late.map((text, n) => `0${n + 3}${text}`));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("a server that starts on a copied store without its write-ahead log warns", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  const [path, copy] = [`${folder}/holdfast.db`, `${folder}/copy.db`];
  try {
    {
      await using _ = await Scene.start({ store: path });
      Deno.copyFileSync(path, copy); // as people make backups
    }
    for (const store of [copy, path]) {
      await using scene = await Scene.start({ store });
      await scene.logs("listening");
      const warnings = scene.log.filter(({ event }) => event === "warning");
      assertEquals(warnings.map(({ code }) => code), store === copy ? ["STORE_IS_OLD"] : []);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("an old copy is noticed even if the device only sends, and is reported once", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  const [path, copy] = [`${folder}/holdfast.db`, `${folder}/copy.db`];
  const sends = async (store: string, txFirst: number, ...texts: string[]) => {
    await using scene = await Scene.start({ store });
    const peer = await scene.dial(`${helloLine({ txFirst })}\n`);
    const { rxNext } = parseWelcome(await until(() => peer.lines[0]));
    for (const [n, text] of texts.entries()) {
      await peer.say(`0${rxNext + n}${text}\n`);
      await peer.hears(`0${rxNext + n}`);
    }
    await peer.say("\n");
    await scene.logs("connected");
    return { rxNext, warnings: scene.log.filter(({ event }) => event === "warning") };
  };
  try {
    await sends(path, 0, "zero");
    Deno.copyFileSync(path, copy);
    assertEquals(await sends(path, 1, "one", "two"), { rxNext: 1, warnings: [] });
    const { rxNext, warnings } = await sends(copy, 3, "three");
    assertEquals([rxNext, warnings.map(({ code }) => code)], [3, ["STORE_IS_OLD"]]);
    assertEquals(await sends(copy, 4, "four"), { rxNext: 4, warnings: [] });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("a device may have received what was sent before a restart", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  const path = `${folder}/holdfast.db`;
  try {
    let txEpoch: number;
    {
      await using scene = await Scene.start({ store: path });
      const { peer, welcome } = await greets(scene, 0, 0);
      txEpoch = welcome.txEpoch;
      await peer.say("00unprocessed\n");
      const device = await scene.server.device("1");
      device.write("one").catch(() => {});
      device.write("two").catch(() => {});
      await peer.hears("00one", "01two"); // its acks are lost
    }
    {
      // Written without a link, sent at the next one.
      await using scene = await onFile(path);
      const device = await scene.server.device("1");
      device.write("three").catch(() => {});
      const { peer, welcome } = await greets(scene, txEpoch, 1);
      assertEquals([welcome.txEpoch, welcome.txFirst], [txEpoch, 1]);
      await peer.hears("01two", "02three");
    }
    await using scene = await onFile(path);
    const { welcome } = await greets(scene, txEpoch, 3);
    assertEquals([welcome.txEpoch, welcome.txFirst], [txEpoch, 3]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
