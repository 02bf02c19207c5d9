/** What the client of bridge/micropython asks of WiFi, on a simulated WLAN. */
import { assertEquals } from "@std/assert";
import { interpreters, PACKAGE, program } from "./interpreters.ts";
import { PythonProcess } from "./python_process.ts";

const JOIN = "sta on, pm 0, connect net pw";

for (const [name, path] of interpreters()) {
  Deno.test(`${name}: the client joins WiFi in the way that each port needs, and starts again after a failure`, async () => {
    await using scenes = new PythonProcess(path, [program("wifi_scenes.py"), PACKAGE]);
    await scenes.ended;
    assertEquals(scenes.trouble, "");
    assertEquals(scenes.said, [
      `esp8266 joins: ap off, ${JOIN}, down, up`,
      `esp32 joins: ap off, ${JOIN}, down, up`,
      `rp2 joins: ${JOIN}, down, up`,
      `pyboard joins: ${JOIN}, down, up`,
      "esp8266 uses stored credentials: ap off, sta on, pm 0, connect , down",
      "esp32 was joined by its boot file: ap off, up",
      `esp32 finds no network: ap off, ${JOIN}, disconnect, sta off, ${JOIN}, down`,
      `pyboard finds no network: ${JOIN}, disconnect, pm 0, connect net pw, down`,
      `rp2 loses the network: ${JOIN}, down, up, link, disconnect, pm 0, connect net pw, down, up`,
      `rp2 claims to be joined, and nothing passes: ${JOIN}, down, up, disconnect, sta off, ${JOIN}, down, up`,
      "rp2 is joined, with a link each time: up, link, up, link, up",
    ]);
  });
}
