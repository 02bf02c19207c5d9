import { assert, assertEquals, assertMatch } from "@std/assert";
import { decodeSettings, encodeSettings, type Settings } from "../../bridge/formats/settings.ts";
import { firmwareIn, SETTINGS, type World } from "./firmware/stand_in.ts";
import { flashWith, makeImages } from "./firmware/images.ts";
import type { Chip } from "./chip/chip.ts";
import { Fixture } from "./page/fixture.ts";
import { form, useLab } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

const images = await makeImages();
const lab = useLab(() => Promise.resolve({ nonos: images }));

const MB = 1024 * 1024;
const MODE = "How the chip reads its flash";

function home(servers: World["servers"] = { "192.168.1.10:8123": {} }): World {
  return { networks: { Home: "correct horse" }, servers };
}

/** Wrong bytes of the flash: those of the parts, and all others, which were blank. */
function differing(
  chip: Chip,
  size: "1MB" | "4MB",
  application: string,
  settings: Settings,
): number {
  const expected = new Uint8Array(chip.flash.size).fill(0xff);
  for (const { at, bytes } of flashWith(images, size, application, encodeSettings(settings))) {
    expected.set(bytes, at);
  }
  return expected.reduce((sum, byte, at) => sum + (byte === chip.flash.bytes[at] ? 0 : 1), 0);
}

const settings = { ssid: "Home", password: "correct horse", server: "192.168.1.10", id: "kitchen" };

for (const [size, bytes] of [["4MB", 4 * MB], ["1MB", MB]] as const) {
  browserTest(`a board with ${size} is flashed, set up, and on the server`, async () => {
    const fixture = new Fixture();
    const mac = size === "1MB" ? "5c:cf:7f:01:02:03" : "84:0d:8e:76:81:2a";
    const chip = fixture.add({ firmware: firmwareIn(home()), flashSize: bytes, mac });
    await using visitor = await lab.open({ fixture });
    if (size === "4MB") await visitor.shoot("01-start");
    await visitor.connect();
    assertEquals(await visitor.fact("Chip").innerText(), "ESP8266EX");
    assertEquals(await visitor.fact("MAC address").innerText(), mac);
    assertEquals(await visitor.fact("Flash size").innerText(), size.replace("MB", " MB"));
    assertEquals(await visitor.fact("Speed").innerText(), "460800 baud");
    if (size === "4MB") await visitor.shoot("02-connected");

    await visitor.flash();
    await visitor.sees("This device is on the server.");
    await visitor.hears("app: hello from the application");
    await visitor.hears("holdfast: settings id=kitchen server=192.168.1.10:8123 ssid=Home key=no");
    assertEquals(differing(chip, size, "main", settings), 0);
    assertEquals(await visitor.page.getByText("verified: it is as it was sent").count(), 7);
    if (size === "4MB") await visitor.shoot("03-on-the-server");
  });
}

browserTest(
  "an ESP8285 is recognised, and its image gets the only mode that its flash has",
  async () => {
    const fixture = new Fixture();
    const chip = fixture.add({ firmware: firmwareIn(home()), flashSize: MB, embedded: true });
    await using visitor = await lab.open({ fixture });
    await visitor.connect();
    assertEquals(await visitor.fact("Chip").innerText(), "ESP8285");
    await visitor.page.getByText("More about the flash").click();
    await visitor.field(MODE).selectOption("qio");
    await visitor.flash();
    await visitor.sees("This device is on the server.");
    assertEquals(chip.flash.bytes[2], 3);
    assertEquals(differing(chip, "1MB", "main", settings), 0);
  },
);

browserTest(
  "a module whose flash is read as DOUT only starts with the page’s default; with another mode the page says why not",
  async () => {
    const fixture = new Fixture();
    const chip = fixture.add({ firmware: firmwareIn(home()), flashSize: MB, onlyDout: true });
    await using visitor = await lab.open({ fixture });
    await visitor.connect();
    assertEquals(await visitor.fact("Chip").innerText(), "ESP8266EX");
    await visitor.flash();
    await visitor.sees("This device is on the server.");
    assertEquals([chip.flash.bytes[2], differing(chip, "1MB", "main", settings)], [3, 0]);
    await visitor.page.getByText("More about the flash").click();
    await visitor.field(MODE).selectOption("dio");
    await visitor.press("Flash the board");
    await visitor.sees(/Choose DOUT, and flash again/);
    assertEquals([chip.flash.bytes[2], differing(chip, "1MB", "main", settings)], [2, 1]);
  },
);

browserTest(
  "a second server address, a fixed address and a country are written; impossible values are refused at their field",
  async () => {
    const fixture = new Fixture();
    const chip = fixture.add({ firmware: firmwareIn(home()) });
    await using visitor = await lab.open({ fixture });
    await visitor.page.getByText("More settings", { exact: true }).click();
    const fields = {
      "Second server address (optional)": "192.168.1.11",
      "Fixed address (optional)": "192.168.1.50",
      "Gateway: the router": "192.168.2.1",
      "DNS server, to look up names": "192.168.1.1",
      "Country (optional)": "de",
    };
    for (const [name, value] of Object.entries(fields)) await visitor.field(name).fill(value);
    await visitor.flash();
    const gateway = visitor.field("Gateway: the router");
    await visitor.sees(/The gateway is the router’s address/);
    assertEquals(await gateway.getAttribute("aria-invalid"), "true");
    assert(await gateway.evaluate((field) => field === field.ownerDocument.activeElement));
    await visitor.shoot("06-a-gateway-of-another-network");
    await gateway.fill("192.168.1.1");
    await visitor.press("Flash the board");
    await visitor.sees("This device is on the server.");
    const ip = {
      address: "192.168.1.50",
      netmask: "255.255.255.0",
      gateway: "192.168.1.1",
      dns: "192.168.1.1",
    };
    const all = { ...settings, server2: "192.168.1.11", ip, country: "DE" };
    assertEquals(differing(chip, "4MB", "main", all), 0);
    await visitor.press("Flash another board");
    assertEquals(await visitor.field("Fixed address (optional)").inputValue(), "");
    assertEquals(await gateway.inputValue(), "192.168.1.1");
  },
);

browserTest(
  "a key is made, shown once, and the board authenticates with it",
  async () => {
    const fixture = new Fixture();
    const keys: Record<string, string> = {};
    const chip = fixture.add({ firmware: firmwareIn(home({ "192.168.1.10:8123": { keys } })) });
    await using visitor = await lab.open({ fixture });
    await visitor.flash({ key: "make" });
    const dialog = visitor.page.getByRole("dialog", { name: "The key of kitchen" });
    await dialog.waitFor();
    await visitor.shoot("04-the-key");
    const shown = await dialog.innerText();
    assertMatch(shown, /npx -y deno@\S+ run -A server\/main\.ts keys add .*kitchen/);
    const [key] = shown.match(/\b[0-9a-f]{64}\b/)!;
    keys.kitchen = key;
    await visitor.press("I have it: go on");
    await visitor.sees("This device is on the server.");
    assertEquals(differing(chip, "4MB", "main", { ...settings, key: Uint8Array.fromHex(key) }), 0);
    const sector = decodeSettings(chip.flash.read(SETTINGS, 4096)!);
    assertEquals(sector.state === "ok" && sector.settings.key?.toHex(), key);
    assertEquals((await visitor.page.content()).includes(key), false); // shown once
  },
);

browserTest("one board after the other: everything stays but the id and its key", async () => {
  const fixture = new Fixture();
  const keys = { kitchen: "11".repeat(32), hall: "22".repeat(32) };
  const world = home({ "192.168.1.10:8123": { keys } });
  const chips = [0, 1].map((at) =>
    fixture.add({ firmware: firmwareIn(world), mac: `84:0d:8e:00:00:0${at}` })
  );
  await using visitor = await lab.open({ fixture });
  await visitor.page.getByLabel("Application", { exact: true }).selectOption("blink");
  await visitor.flash({ key: keys.kitchen });
  await visitor.sees("This device is on the server.");
  await visitor.press("Flash another board");
  assertEquals(await visitor.field("Device id").inputValue(), "");
  assertEquals(await visitor.field("WiFi name").inputValue(), "Home");
  assertEquals(await visitor.field("WiFi password").inputValue(), "correct horse");
  fixture.choice = 1;
  await visitor.field("Device id").fill("hall");
  await visitor.field("Key (64 hex digits)").fill(keys.hall);
  await visitor.press("Flash the board");
  await visitor.hears("holdfast: settings id=hall");
  await visitor.sees("This device is on the server.");
  for (const [at, id] of (["kitchen", "hall"] as const).entries()) {
    const key = Uint8Array.fromHex(keys[id]);
    assertEquals(differing(chips[at]!, "4MB", "blink", { ...settings, id, key }), 0);
  }
});

/** Reasons why a board is not on the server, in its console's words, and the page's words. */
const obstacles: [what: string, world: World, key: string, words: RegExp][] = [
  ["the WiFi is not there", { networks: {}, servers: {} }, "", /There is no WiFi called Home/],
  [
    "the WiFi has another password",
    { networks: { Home: "something else" }, servers: {} },
    "",
    /Home does not accept the password/,
  ],
  ["nothing answers at the address", home({}), "", /192\.168\.1\.10:8123: nothing answers there/],
  [
    "the server has another key",
    home({ "192.168.1.10:8123": { keys: { kitchen: "11".repeat(32) } } }),
    "22".repeat(32),
    /the server’s key for this device is another one/,
  ],
  [
    "the server has no key for the device",
    home({ "192.168.1.10:8123": { keys: {} } }),
    "22".repeat(32),
    /refuses the board: it does not know this board’s key/,
  ],
];

browserTest(
  "a board that is not on the server: the page shows the exact reason, and what to try",
  async (t) => {
    for (const [what, world, key, words] of obstacles) {
      await t.step(what, async () => {
        const fixture = new Fixture();
        fixture.add({ firmware: firmwareIn({ ...world, pace: 200 }) });
        await using visitor = await lab.open({ fixture });
        await visitor.check("Keep what is on the board");
        fixture.cable(0).chip.flash.program(0, images.files["boot.bin"]!);
        fixture.cable(0).chip.flash.program(0xf0000, images.files["main.app.bin"]!);
        await visitor.flash({ key });
        await visitor.sees(words);
        await visitor.sees("What to try:");
        await visitor.shoot(`05-${what.replaceAll(" ", "-")}`);
        // The cause is removed meanwhile, and the page notices by itself.
        world.networks.Home = form.password;
        world.servers["192.168.1.10:8123"] = {};
        await visitor.sees("This device is on the server.");
      });
    }
  },
);
