import { assertEquals } from "@std/assert";
import { encodeSettings } from "../../bridge/esp8266/settings.ts";
import { toolTest } from "../support/tools.ts";
import { APPLICATION, firmwareIn, SETTINGS } from "./board/firmware.ts";
import { makeImages } from "./board/images.ts";
import { Bench } from "./page/bench.ts";
import { useLab } from "./page/browser.ts";

const images = await makeImages();
const lab = useLab(() => Promise.resolve({ nonos: images }));

toolTest("a board is flashed, set up, and on the server", { chromium: "chromium" }, async () => {
  const bench = new Bench();
  const world = { networks: { Home: "correct horse" }, servers: { "192.168.1.10:8123": {} } };
  const chip = bench.add({ firmware: firmwareIn(world) });
  await using visitor = await lab.open({ bench });
  const { page } = visitor;
  await page.getByRole("button", { name: "Choose port" }).click();
  await page.getByText("84:0d:8e:76:81:2a", { exact: true }).waitFor();
  await visitor.shoot("connected");
  await page.getByLabel("WiFi name").fill("Home");
  await page.getByLabel("WiFi password", { exact: true }).fill("correct horse");
  await page.getByLabel("Server address").fill("192.168.1.10");
  await page.getByLabel("Device id").fill("kitchen");
  await page.getByRole("radio", { name: /^None: the server/ }).check();
  await page.getByRole("button", { name: "Flash the board" }).click();
  await page.getByRole("log").getByText("link up").waitFor();
  await visitor.shoot("on-the-server");
  assertEquals(chip.flash.bytes.slice(0x10000, 0x10000 + 241884), images.files["irom.bin"]);
  assertEquals(
    chip.flash.bytes.slice(SETTINGS, SETTINGS + 4096),
    encodeSettings({
      ssid: "Home",
      password: "correct horse",
      server: "192.168.1.10",
      id: "kitchen",
    }),
  );
  void APPLICATION;
});
