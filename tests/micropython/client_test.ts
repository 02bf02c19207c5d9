/**
 * What the client of bridge/micropython does besides carrying messages through faults: acks, deadlines, dialect 1,
 * addresses, keys, TLS. Under CPython, and under the MicroPython that HOLDFAST_MICROPYTHON names, if it is set.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Server, type ServerOptions } from "../../server/mod.ts";
import { makeCertificate } from "../support/certificate.ts";
import { FaultProxy } from "../support/proxy.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { interpreters, PACKAGE } from "./interpreters.ts";
import { PythonProcess } from "./python_process.ts";

const KEY = "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f";
const OTHER_KEY = KEY.replace("00", "01");
/** The link's timeout, in ms. */
const TIMEOUT = 500;
/** A timeout so long that no link is lost because the machine is slow, in ms. */
const LONG = 30_000;

function listen(options: ServerOptions = {}): Promise<Server> {
  const common = { hostname: "127.0.0.1", port: 0, open: true, timeout: TIMEOUT };
  return Server.listen({ ...common, ...options });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits for a line that the device prints. */
function says(device: PythonProcess, line: string): Promise<unknown> {
  return until(() => device.said.includes(line), {
    what: () => `${line}, not ${device.said}\n${device.trouble}`,
  });
}

for (const [name, path] of interpreters()) {
  const start = (settings: Parameters<typeof PythonProcess.device>[1]) =>
    PythonProcess.device(path, { timeout: TIMEOUT, ...settings });

  Deno.test(`${name}: a message is acknowledged when the application asks for the next one, and repeated if it never does`, async () => {
    await using server = await listen({ timeout: LONG });
    let told = 0;
    {
      await using device = start({ port: server.port, timeout: LONG, holds: "b" });
      const link = await server.device("1");
      const tell = (text: string) => link.write(text, { wait: false }).then(() => told++);
      const all = [tell("a"), tell("b"), tell("c")];
      all.forEach((one) => one.catch(() => {})); // the server was closed
      await says(device, "got b");
      await until(() => told === 1);
      await pause(3 * TIMEOUT);
      assertEquals([told, device.all("got")], [1, ["a", "b"]]);
    }
    await using device = start({ port: server.port, timeout: LONG });
    await until(() => told === 3);
    assertEquals(device.all("got"), ["b", "c"]);
  });

  Deno.test(`${name}: a message that the application is processing when the link is lost is not sent again: the next run gets it from the memory`, async () => {
    const memory = await Deno.makeTempFile();
    try {
      await using server = await listen({ timeout: LONG });
      await using proxy = await FaultProxy.start({ target: { port: server.port } });
      const link = await (async () => {
        await using device = start({ port: proxy.port, timeout: LONG, memory, holds: "a" });
        const link = await server.device("1");
        const written = link.write("a");
        await says(device, "got a");
        proxy.reset();
        await written; // the device's hello acknowledges it
        await until(() => device.all("link").length === 3);
        assertEquals(device.all("link"), ["True", "False", "True"]);
        assertEquals(device.all("got"), ["a"]);
        return link;
      })();
      await using device = start({ port: proxy.port, timeout: LONG, memory });
      await link.write("b");
      await until(() => device.all("got").length === 2);
      assertEquals(device.all("got"), ["a", "b"]);
    } finally {
      await Deno.remove(memory);
    }
  });

  Deno.test(`${name}: a damaged memory is ignored: nothing is lost or misread`, async () => {
    const memory = await Deno.makeTempFile();
    try {
      await Deno.writeTextFile(memory, "this was never a position, and has some length");
      await using server = await listen();
      await using device = start({ port: server.port, memory });
      const link = await server.device("1");
      await link.write("a");
      await says(device, "got a");
    } finally {
      await Deno.remove(memory);
    }
  });

  Deno.test(`${name}: through outages, an expired message never arrives, and any other arrives once`, async () => {
    await using server = await listen();
    await using proxy = await FaultProxy.start({ target: { port: server.port } });
    const messages = 400;
    await using device = start({ port: proxy.port, messages, pause: 10, expires: 300, window: 16 });
    const link = await server.device("1");
    const heard: string[] = [];
    const reading = (async () => {
      for await (const line of link) heard.push(line);
    })();
    reading.catch(() => {}); // the server was closed
    const decided = () => device.all("sent").length + device.all("late").length;
    while (decided() < messages && device.trouble === "") {
      await pause(700);
      proxy.blackhole();
      await pause(900);
      proxy.restore({ drop: true });
      const before = decided();
      await until(() => decided() > before || decided() === messages || device.trouble !== "");
    }
    assertEquals(device.trouble, "");
    await until(() => heard.length >= device.all("sent").length);
    const late = device.all("late");
    assert(late.length > 10, `${late.length} were late`);
    assertEquals(late.filter((line) => !line.endsWith(" EXPIRED")), []);
    assertEquals(heard.toSorted(), device.all("sent").map((n) => `up ${n}`).toSorted());
  });

  Deno.test(`${name}: in dialect 1 each message arrives once, in order, through outages`, async () => {
    await using server = await listen();
    await using proxy = await FaultProxy.start({ target: { port: server.port } });
    const messages = 300;
    await using device = start({ port: proxy.port, dialect: 1, messages, pause: 5 });
    const link = await server.device("1");
    const heard: string[] = [];
    const reading = (async () => {
      for await (const line of link) heard.push(line);
    })();
    reading.catch(() => {}); // the server was closed
    const texts = Array.from({ length: messages }, (_, n) => `down ${n}`);
    const writing = (async () => {
      for (const text of texts) await link.write(text);
    })();
    writing.catch(() => {}); // the server was closed
    for (let outage = 1; outage <= 4; outage++) {
      await until(() => heard.length >= outage * 50);
      if (outage % 2 === 0) proxy.reset();
      else {
        proxy.blackhole();
        await pause(2 * TIMEOUT);
        proxy.restore({ drop: true });
      }
    }
    await writing;
    await until(() => device.all("sent").length === messages);
    assertEquals(device.all("got"), texts);
    assertEquals(heard, texts.map((_, n) => `up ${n}`));
    assertEquals(device.trouble, "");
  });

  Deno.test(`${name}: of several addresses, the client finds the one where the server listens`, async () => {
    await using server = await listen();
    const servers = ["127.0.0.3", "127.0.0.2", "127.0.0.1"];
    await using device = start({ port: server.port, servers, messages: 1 });
    await says(device, "sent 0");
  });

  Deno.test(`${name}: if a server sends the device away, the client tries the next address at once`, async () => {
    const timeout = 10_000; // a refusal would cost 20 s and more
    await using first = await listen({ timeout });
    await using second = await listen({ timeout, hostname: "127.0.0.2", port: first.port });
    const servers = ["127.0.0.1", "127.0.0.2"];
    await using device = start({ port: first.port, servers, timeout });
    const link = await first.device("1");
    await until(() => link.connected);
    const began = performance.now();
    await first.sendAway(0);
    await until(() => second.devices[0]?.connected);
    assert(performance.now() - began < 2 * timeout, "it has waited");
    assertEquals(device.trouble, "");
  });

  Deno.test(`${name}: a server without the key gets no messages`, async () => {
    const said: string[] = [];
    await using server = await listen({ keys: [["1", OTHER_KEY]], open: false });
    await using proxy = await FaultProxy.start({ target: { port: server.port } });
    proxy.onBytes = ({ direction, bytes }) => {
      if (direction === "up") said.push(new TextDecoder().decode(bytes));
    };
    await using device = start({ port: proxy.port, key: KEY, messages: 1 });
    await until(() => proxy.accepted >= 2);
    assertEquals(device.said, []);
    assert(said.length > 0);
    for (const line of said) {
      assert(line.startsWith("\x01"), `the device sent ${line} and not only hellos`);
    }
  });

  Deno.test(`${name}: without WiFi the client does not try to connect; once WiFi is up, it connects`, async () => {
    const folder = await Deno.makeTempDir();
    const wifi = `${folder}/wifi`;
    try {
      await using server = await listen({ timeout: LONG });
      await using proxy = await FaultProxy.start({ target: { port: server.port } });
      await using device = start({ port: proxy.port, timeout: LONG, wifi, messages: 1 });
      await pause(2 * TIMEOUT);
      assertEquals(proxy.accepted, 0);
      await Deno.writeTextFile(wifi, "");
      await says(device, "sent 0");
      await Deno.remove(wifi);
      proxy.reset();
      await says(device, "wifi False");
      const { accepted } = proxy;
      await pause(2 * TIMEOUT);
      assertEquals(proxy.accepted, accepted);
      await Deno.writeTextFile(wifi, "");
      await until(() => device.all("link").length === 3);
      const told = device.said.filter((line) => /^(wifi|link)/.test(line));
      const back = ["wifi True", "link True"];
      assertEquals(told, [...back, "link False", "wifi False", ...back]);
      assertEquals(device.trouble, "");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  Deno.test(`${name}: a cancelled readline loses nothing, and closing the client ends its readers`, async () => {
    const code = `
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from holdfast import Client, LinkError
async def read(client):
    async for line in client:
        print("too much", line)
    print("over")
async def main():
    client = Client("1", "127.0.0.1", int(sys.argv[2]), timeout=500)
    got = 0
    while got < 50:
        # Not with wait_for: MicroPython's can drop what was read as the time ran out.
        reading = asyncio.create_task(client.readline())
        await asyncio.sleep(0.01)
        reading.cancel()
        try:
            print("got", await reading)
            got += 1
        except asyncio.CancelledError:
            pass
    reading = asyncio.create_task(read(client))
    await asyncio.sleep(0.1)
    client.close()
    client.close()
    await reading
    try:
        await client.write("a")
    except LinkError as error:
        print(error.args[0], client.put("a"), await client.write("a", qos=False), client.status())
asyncio.run(main())
`;
    await using server = await listen();
    await using device = new PythonProcess(path, ["-c", code, PACKAGE, `${server.port}`]);
    const link = await server.device("1");
    const texts = Array.from({ length: 50 }, (_, n) => `down ${n}`);
    for (const text of texts) {
      await pause(Math.random() * 25);
      link.write(text, { wait: false }).catch(() => {}); // the device does not acknowledge the last one
    }
    await device.ended;
    assertEquals(device.trouble, "");
    assertEquals(device.said, [
      ...texts.map((text) => `got ${text}`),
      "over",
      "CLOSED False False False",
    ]);
  });

  Deno.test(`${name}: a message that the memory cannot store is not acknowledged; the watchdog is fed, and the LED blinks`, async () => {
    const code = `
import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
from holdfast import Client
class Memory:
    full = True
    saved = b""
    def load(self):
        return self.saved
    def save(self, data):
        if self.full:
            raise OSError(28)
        self.saved = data
class Dog:
    fed = 0
    def feed(self):
        self.fed += 1
lit = [False]
def led(*on):
    lit.extend(on)
    return lit[-1]
async def main():
    memory, dog = Memory(), Dog()
    client = Client("1", "127.0.0.1", int(sys.argv[2]), timeout=500, memory=memory, wdog=dog, led=led)
    print("got", await client.readline())
    for _ in range(2):
        try:
            await client.readline()
        except OSError as error:
            print("full", error.args[0])
    await asyncio.sleep(0.5)
    print("now")
    while True:
        try:
            os.stat(sys.argv[3])
            break
        except OSError:
            await asyncio.sleep(0.02)
    memory.full = False
    print("got", await client.readline())
    print(len(memory.saved), dog.fed > 20, len(lit) > 3, lit[1:4])
    client.close()
asyncio.run(main())
`;
    const folder = await Deno.makeTempDir();
    const room = `${folder}/room`;
    await using server = await listen();
    await using device = new PythonProcess(path, ["-c", code, PACKAGE, `${server.port}`, room]);
    const link = await server.device("1");
    let told = 0;
    const first = link.write("a", { wait: false }).then(() => told++);
    link.write("b", { wait: false }).catch(() => {}); // the device does not acknowledge it
    await says(device, "now");
    assertEquals(told, 0);
    await Deno.writeTextFile(room, "");
    await first;
    await device.ended;
    await Deno.remove(folder, { recursive: true });
    assertEquals(device.trouble, "");
    assertEquals(device.said, [
      ...["got a", "full 28", "full 28", "now", "got b"],
      "12 True True [True, False, True]",
    ]);
  });

  Deno.test(`${name}: a message that expires without WiFi is reported at that moment`, async () => {
    const wifi = "/nowhere/wifi";
    await using device = start({ port: 9, wifi, messages: 2, expires: 100 });
    await says(device, "late 1 EXPIRED");
    assertEquals(device.said, ["late 0 EXPIRED", "late 1 EXPIRED"]);
  });

  Deno.test(`${name}: messages that expire behind others awaiting their ack are reported, and never sent`, async () => {
    const code = `
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from holdfast import Client, LinkError
async def late(client, text):
    try:
        await client.write(text, expires=200)
        print("sent", text)
    except LinkError as error:
        print(error.args[0], text)
async def main():
    client = Client("1", "127.0.0.1", int(sys.argv[2]), timeout=500)
    await client
    await client.write("first")
    print("ready")
    while client.status():
        await asyncio.sleep(0.01)
    writing = asyncio.create_task(client.write("second"))
    await asyncio.sleep(0.05)
    await asyncio.gather(late(client, "third"), late(client, "fourth"))
    print("told")
    await writing
    await client.write("last")
    client.close()
asyncio.run(main())
`;
    await using server = await listen();
    await using proxy = await FaultProxy.start({ target: { port: server.port } });
    await using device = new PythonProcess(path, ["-c", code, PACKAGE, `${proxy.port}`]);
    const link = await server.device("1");
    const heard = [await link.readline()];
    await says(device, "ready");
    proxy.blackhole();
    await says(device, "told"); // in the outage
    proxy.restore({ drop: true });
    while (heard.at(-1) !== "last") heard.push(await link.readline());
    await device.ended;
    assertEquals(heard, ["first", "second", "last"]);
    assertEquals(device.said, ["ready", "EXPIRED third", "EXPIRED fourth", "told"]);
    assertEquals(device.trouble, "");
  });

  Deno.test(`${name}: texts that no line can carry are refused when they are written`, async () => {
    const code = `
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from holdfast import Client
async def main():
    client = Client("1", "127.0.0.1", 9)
    for text in ("", "\\n", "a\\nb", "\\0a", "\\x01a", "\\x02a", "x" * 257):
        try:
            client.put(text)
            print("accepted", text)
        except ValueError:
            print("refused")
    print(client.put("x" * 256 + "\\n"), await client.write("a", qos=False), client.status(), client.connects)
    for wrong in ({"key": b"1"}, {"line": 9}, {"window": 65}, {"suite": 3}, {"suite": 4, "key": b"k" * 32}, {"my_id": ""}, {"my_id": "a\\tb"}, {"my_id": "x" * 65}, {"server": []}):
        options = {"my_id": "1", "server": "127.0.0.1"}
        options.update(wrong)
        try:
            Client(**options)
            print("made", wrong)
        except ValueError:
            print("refused")
    client.close()
asyncio.run(main())
`;
    await using device = new PythonProcess(path, ["-c", code, PACKAGE]);
    await device.ended;
    assertEquals(device.trouble, "");
    const refused = (count: number) => Array.from({ length: count }, () => "refused");
    assertEquals(device.said, [...refused(7), "True False False 0", ...refused(9)]);
  });
}

const [python] = interpreters();

toolTest("CPython: over TLS", { openssl: "openssl", python3: "python3" }, async ({ openssl }) => {
  const tls = await makeCertificate(openssl);
  const ca = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(ca, tls.cert);
    await using server = await listen({ tls });
    const settings = { port: server.port, timeout: TIMEOUT, messages: 100, ca };
    await using device = PythonProcess.device(python![1], settings);
    const link = await server.device("1");
    const heard: string[] = [];
    while (heard.length < 100) heard.push(await link.readline());
    await link.write("a");
    await says(device, "got a");
    assertEquals(heard, heard.map((_, n) => `up ${n}`));
    assertEquals(device.trouble, "");
  } finally {
    await Deno.remove(ca);
  }
});
