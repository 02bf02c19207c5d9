/**
 * The page's advice works: each command that it shows is run unchanged, at a real server in a folder with only the
 * sources, and then the board connects.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Client } from "../../bridge/host/mod.ts";
import { DENO } from "../../bridge/flasher/plan/commands.ts";
import type { Settings } from "../../bridge/formats/settings.ts";
import { clone } from "../support/clone.ts";
import { until } from "../support/wait.ts";
import { firmwareIn } from "./firmware/stand_in.ts";
import { makeImages } from "./firmware/images.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab, type Visitor } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

const images = await makeImages(20_000);
const lab = useLab(() => Promise.resolve({ nonos: images }));

const SUCCESS = "This device is on the server.";
const MAIN = `${DENO} run -A server/main.ts`;
const NEWCOMER = `${MAIN} --open --app main`;

/** The terminal of the server's computer, in a fresh clone with what the server needs. */
class Terminal implements AsyncDisposable {
  #server: { child: Deno.ChildProcess; said: string; ended: Promise<unknown> } | undefined;

  private constructor(readonly folder: string, readonly port: number) {}

  static async open(): Promise<Terminal> {
    const folder = await Deno.makeTempDir({ prefix: "holdfast-clone-" });
    await clone(folder, ["server", "deno.json"]);
    // Nobody else takes the port between the runs of this test's server.
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    return new Terminal(folder, port);
  }

  /** Runs a command; one that starts the server keeps running, and replaces the previous server. */
  async run(line: string, typed = ""): Promise<void> {
    assert(line.startsWith(`${MAIN} `), line);
    // The Deno that npx would run, in the same shell.
    const command = new Deno.Command("sh", {
      args: ["-c", line.replace(DENO, `exec '${Deno.execPath()}'`)],
      cwd: this.folder,
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    });
    if (!line.includes("main.ts keys ")) return await this.#serve(command);
    const child = command.spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${typed}\n`)).catch(() => {});
    await writer.close().catch(() => {});
    const { success, stderr } = await child.output();
    assert(success, `${line}: ${new TextDecoder().decode(stderr)}`);
  }

  async #serve(command: Deno.Command): Promise<void> {
    await this.stop();
    const child = command.spawn();
    const server = this.#server = { child, said: "", ended: Promise.resolve() as Promise<unknown> };
    const collect = async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
        server.said += text;
      }
    };
    server.ended = Promise.all([
      child.status,
      collect(),
      child.stdin.close(),
      child.stdout.cancel(),
    ]);
    await until(() => server.said.includes("listening"), { what: () => server.said });
  }

  /** Ctrl+C. */
  async stop(): Promise<void> {
    this.#server?.child.kill("SIGINT");
    await this.#server?.ended;
    this.#server = undefined;
  }

  /** The server's answer to a device with these settings, as its firmware would get it. */
  readonly answer = async ({ id, key }: Settings): Promise<string | undefined> => {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const client: Client = new Client({
      id: id!,
      port: this.port,
      ...(key ? { key } : {}),
      onState(up, reason) {
        if (!up) return resolve(reasonOf(reason!));
        // The server may still refuse it, until it has taken a message.
        client.write("[0]").then(() => resolve(undefined), () => {});
      },
    });
    await using _closed = client;
    return await promise;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** The reason in the firmware's words. A client also uses LOST for a connection that was never made. */
function reasonOf({ code, message }: Error & { code: string }): string {
  if (code === "LOST") return "NO_ANSWER";
  if (code !== "REFUSED") return code;
  const codes: [RegExp, string][] = [
    [/this device gave none/, "03"],
    [/cannot prove itself/, "04"],
    [/is not open/, "01"],
    [/the keys differ/, "02"],
    [/too many connections or devices/, "06"],
  ];
  return `REFUSED code=${codes.find(([words]) => words.test(message))?.[1] ?? message}`;
}

/** A newcomer with a board, and a terminal for the server. */
async function setUp() {
  const stack = new AsyncDisposableStack();
  const terminal = stack.use(await Terminal.open());
  const fixture = new Fixture();
  const servers = { [`192.168.1.10:${terminal.port}`]: { answer: terminal.answer } };
  const world = { networks: { Home: "correct horse" }, servers, pace: 100 };
  fixture.add({ firmware: firmwareIn(world), flashSize: 1 << 20 });
  const visitor = stack.use(await lab.open({ fixture }));
  await visitor.field("Server port").fill(String(terminal.port));
  return { terminal, visitor, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Flashes with a key made by the page, which the server does not get. */
async function flashWithKey(visitor: Visitor): Promise<{ key: string; lines: string[] }> {
  await visitor.flash({ key: "make" });
  await visitor.page.getByRole("dialog").waitFor();
  const text = (id: string) => visitor.page.locator(id).innerText();
  return {
    key: await text("#key-value"),
    lines: [await text("#key-command"), await text("#key-start")],
  };
}

/** The commands that the verdict shows, one for each advice. */
async function advised(visitor: Visitor): Promise<{ words: string; lines: string[] }[]> {
  const tries = visitor.page.locator("#verdict li");
  return await Promise.all((await tries.all()).map(async (item) => ({
    words: await item.innerText(),
    lines: await item.locator("code").allInnerTexts(),
  })));
}

browserTest(
  "a newcomer who follows the key's dialog exactly gets the board on the server",
  async () => {
    await using place = await setUp();
    const { terminal, visitor } = place;
    await terminal.run(`${NEWCOMER} --port ${terminal.port}`);
    const { key, lines } = await flashWithKey(visitor);
    for (const line of lines) await terminal.run(line, key);
    await visitor.press("I have it: go on");
    await visitor.sees(SUCCESS);
    // When it is corrected and flashed again, the board keeps its key; the page does not show it again.
    await visitor.page.getByText("More settings").click();
    await visitor.page.getByLabel(/^Send what the board prints/).check();
    await visitor.press("Flash the board");
    await visitor.sees("Connecting to the board …");
    await visitor.sees(SUCCESS);
    assertEquals(await visitor.field("I have one").isChecked(), true);
    // When it is flashed once more with another key, the same commands work again.
    const again = await flashWithKey(visitor);
    for (const line of again.lines) await terminal.run(line, again.key);
    await visitor.press("I have it: go on");
    await visitor.sees(SUCCESS);
    // The next board gets a key of its own.
    await visitor.press("Flash another board");
    assertEquals(await visitor.field("Key (64 hex digits)").inputValue(), "");
    assertEquals(await visitor.page.getByRole("radio", { name: /^Make one/ }).isChecked(), true);
  },
);

browserTest("a key that the server does not know: each advice works", async (t) => {
  await using place = await setUp();
  const { terminal, visitor } = place;
  await terminal.run(`${NEWCOMER} --port ${terminal.port}`);
  const { key } = await flashWithKey(visitor);
  await visitor.press("I have it: go on"); // but the server did not get it
  await visitor.sees(/it does not know this board’s key/);
  const tries = await advised(visitor);
  await visitor.shoot("09-key-unknown");
  await t.step("do without a key", async () => {
    assertMatch(tries[3]!.words, /do without a key/);
    await visitor.check(/^None/);
    await visitor.press("Flash the board");
    await visitor.sees(SUCCESS);
  });
  await t.step("give the server the key", async () => {
    await visitor.flash({ key });
    await visitor.sees(/it does not know this board’s key/);
    for (const { lines } of tries.slice(0, 2)) await terminal.run(lines[0]!, key);
    await visitor.sees(SUCCESS);
  });
  await t.step("another key", async () => {
    assertMatch(tries[2]!.words, /make the board another key/);
    const { key, lines } = await flashWithKey(visitor);
    for (const line of lines) await terminal.run(line, key);
    await visitor.press("I have it: go on");
    await visitor.sees(SUCCESS);
  });
});

browserTest("a server that has keys, and a board without one: each advice works", async (t) => {
  for (
    const [id, refusal] of [["hall", /lets in boards with a key only/], [
      "kitchen",
      /and the board has none/,
    ]] as const
  ) {
    const advice = id === "hall" ? [1] : [2, 3];
    for (const way of ["make one", "open the server"]) {
      await t.step(`the key is ${id}'s, the board kitchen: ${way}`, async () => {
        await using place = await setUp();
        const { terminal, visitor } = place;
        await terminal.run(`${MAIN} keys add ${id} --key -`, "11".repeat(32));
        await terminal.run(`${MAIN} --keys keys.json --app main --port ${terminal.port}`);
        await visitor.flash();
        await visitor.sees(refusal);
        if (way === "make one") {
          const { key, lines } = await flashWithKey(visitor);
          for (const line of lines) await terminal.run(line, key);
          await visitor.press("I have it: go on");
        } else {
          const tries = await advised(visitor);
          for (const at of advice) await terminal.run(tries[at]!.lines[0]!);
        }
        await visitor.sees(SUCCESS);
      });
    }
  }
});

browserTest("another key at the server: each advice works", async () => {
  await using place = await setUp();
  const { terminal, visitor } = place;
  await terminal.run(`${MAIN} keys add kitchen --key -`, "11".repeat(32));
  await terminal.run(`${MAIN} --keys keys.json --app main --port ${terminal.port}`);
  const key = "22".repeat(32);
  await visitor.flash({ key });
  await visitor.sees(/is another one than the board’s/);
  for (const { lines } of (await advised(visitor)).slice(0, 2)) await terminal.run(lines[0]!, key);
  await visitor.sees(SUCCESS);
});

browserTest("a server without room for one more device: each advice works", async (t) => {
  for (const way of ["a key", "more room"]) {
    await t.step(way, async () => {
      await using place = await setUp();
      const { terminal, visitor } = place;
      const start = `${NEWCOMER} --port ${terminal.port}`;
      await terminal.run(`${start} --limit devices=1`);
      await using first = new Client({ id: "first", port: terminal.port });
      await first.ready();
      await visitor.flash();
      await visitor.sees(/no room for another device without a key/);
      const tries = await advised(visitor);
      if (way === "a key") {
        assertMatch(tries[0]!.words, /“Make one”/);
        const { key, lines } = await flashWithKey(visitor);
        for (const line of lines) await terminal.run(line, key);
        await visitor.press("I have it: go on");
      } else await terminal.run(`${start} --limit devices=1 ${tries[1]!.lines[0]}`);
      await visitor.sees(SUCCESS);
    });
  }
});

browserTest("no server: the command that starts it works, with a key and without", async () => {
  for (const key of ["", "22".repeat(32)]) {
    await using place = await setUp();
    const { terminal, visitor } = place;
    if (key !== "") await terminal.run(`${MAIN} keys add kitchen --key -`, key);
    await visitor.flash({ key });
    await visitor.sees(/nothing answers there/);
    const [first] = await advised(visitor);
    assertEquals(first!.lines.length, 1);
    await terminal.run(first!.lines[0]!);
    await visitor.sees(SUCCESS);
  }
});

browserTest(
  "impossible values are refused at their field; a space at an end is questioned once",
  async () => {
    const fixture = new Fixture();
    const chip = fixture.add({ flashSize: 1 << 20 });
    await using visitor = await lab.open({ fixture });
    const cases: [Parameters<Visitor["flash"]>[0], string, RegExp][] = [
      [{ server: "localhost" }, "Server address", /the board itself/],
      [{ server: "127.0.0.1" }, "Server address", /the board itself/],
      [{ server: "0.0.0.0" }, "Server address", /all of its addresses/],
      [{ server: "192.168.1.300" }, "Server address", /four numbers/],
      [{ server: "raspberrypi.local" }, "Server address", /\.local/],
      [{ password: "z".repeat(64) }, "WiFi password", /hex digits/],
      [{ ssid: "Home " }, "WiFi name", /a space/],
      [{ password: " correct horse" }, "WiFi password", /a space/],
    ];
    for (const [fields, name, words] of cases) {
      await visitor.flash(fields);
      await visitor.sees(words);
      assertEquals(await visitor.field(name).getAttribute("aria-invalid"), "true");
      assertEquals(chip.boots.loader, 0);
    }
    await visitor.shoot("09-a-space");
    await visitor.press("Flash the board"); // confirms it
    await visitor.sees("Connecting to the board …");
  },
);

browserTest(
  "an application is shown with what it does and with the server's half; drivers have links",
  async () => {
    await using visitor = await lab.open();
    const { page } = visitor;
    const about = async () => {
      const id = await visitor.field("Application").getAttribute("aria-describedby");
      return await page.locator(`#${id}`).innerText();
    };
    assertMatch(await about(), /^Counts in both directions.* in the server: --app main$/);
    await visitor.field("Application").selectOption("blink"); // a user's own
    assertMatch(await about(), /The program that the board runs/);
    await page.getByText("Help: no port in the list").click();
    for (const name of ["CP210x", "CH340 or CH341", "FTDI"]) {
      const link = page.getByRole("link", { name });
      assertMatch((await link.getAttribute("href"))!, /^https:/);
      assertEquals(await link.getAttribute("target"), "_blank"); // so the form is not lost
    }
  },
);
