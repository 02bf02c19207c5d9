/** A server on a file, over the wire. */
import { assertEquals, assertRejects } from "@std/assert";
import { TextLineStream } from "@std/streams";
import { LocalError } from "../errors.ts";
import { Server } from "../server.ts";

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

Deno.test("a server on a file goes on where it stopped", async () => {
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
