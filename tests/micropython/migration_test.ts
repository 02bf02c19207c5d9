/** An application for micropython-iot's client gets exactly-once delivery by changing two lines. */
import { assertEquals } from "@std/assert";
import { Server } from "../../server/mod.ts";
import { FaultProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";
import { PythonProcess } from "./python_process.ts";
import { interpreters, PACKAGE, program } from "./interpreters.ts";

const KEY = "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f";
/** In ms, as in the application. */
const TIMEOUT = 500;
const MESSAGES = 200;

/** The two changes: the import, and the key. */
const CHANGES: [before: string, after: string][] = [
  ["from iot import client", "from holdfast import client"],
  ["conn_cb=self.constate, verbose=False)", "conn_cb=self.constate, verbose=False, key=KEY)"],
];

for (const [name, path] of interpreters()) {
  Deno.test(`${name}: an application for micropython-iot with two changed lines gets every message once, through outages`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "holdfast-micropython-" });
    const stock = await Deno.readTextFile(program("stock_app.py"));
    const app = CHANGES.reduce((text, [before, after]) => text.replace(before, after), stock);
    const changed = stock.split("\n").filter((line, n) => line !== app.split("\n")[n]);
    assertEquals(changed.length, 2);
    await Deno.writeTextFile(`${folder}/app.py`, app);
    await using server = await Server.listen({
      hostname: "127.0.0.1",
      port: 0,
      keys: [["1", KEY]],
      timeout: TIMEOUT,
    });
    await using proxy = await FaultProxy.start({ target: { port: server.port } });
    await using device = new PythonProcess(path, [
      `${folder}/app.py`,
      PACKAGE,
      `${proxy.port}`,
      KEY,
    ]);
    try {
      const link = await server.device("1");
      const heard: number[][] = [];
      const reading = (async () => {
        for await (const line of link) heard.push(JSON.parse(line));
      })();
      reading.catch(() => {}); // the server was closed: the test has already failed
      const texts = Array.from({ length: MESSAGES }, (_, n) => JSON.stringify({ n }));
      const written = Promise.all(texts.map((text) => link.write(text, { wait: false })));
      for (let outage = 1; outage <= 3; outage++) {
        await until(() => heard.length >= outage * 20);
        if (outage === 2) {
          proxy.blackhole();
          await new Promise((resolve) => setTimeout(resolve, 3 * TIMEOUT));
          proxy.restore({ drop: true });
        } else proxy.reset();
        await until(() => link.connects > outage && link.connected);
      }
      await written;
      link.write('"end"').catch(() => {}); // never acknowledged: the application does not ask for another
      await device.ended;
      assertEquals(device.trouble, "");
      assertEquals(device.all("Got"), [...texts.map((_, n) => `{'n': ${n}}`), "end"]);
      assertEquals(heard.map(([count]) => count), heard.map((_, n) => n));
      assertEquals(device.said.filter((line) => line === "Connection state: True").length, 4);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
