/** The built page, its server, and the command line. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { describePart, readManifest, writeManifest } from "../formats/manifest.ts";
import { buildSite, weigh } from "./build.ts";
import { readImages } from "./images.ts";
import { ENTRY_BUDGET } from "./main.ts";
import { FlashError } from "./chip/errors.ts";
import { DENO } from "./plan/commands.ts";
import { answer } from "./serve.ts";
import { explain } from "./words/faults.ts";
import { clone } from "../../tests/support/clone.ts";
import { until } from "../../tests/support/wait.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;

/** A folder with the images of one board, and other things. */
async function withImages(use: (folder: URL) => Promise<void>): Promise<void> {
  const path = Deno.makeTempDirSync();
  try {
    for (const folder of ["nonos-wifi", "half-built"]) Deno.mkdirSync(`${path}/${folder}`);
    const part = await describePart("boot", 0, "boot.bin", new Uint8Array(5000));
    const special = await describePart("boot", 0, "boot4.bin", new Uint8Array(5001));
    const app = await describePart("main", 0xf0000, "main.app.bin", new Uint8Array(48));
    Deno.writeTextFileSync(
      `${path}/nonos-wifi/manifest.json`,
      writeManifest({
        name: "holdfast",
        version: "0.1.0",
        board: "nonos",
        flavour: "wifi",
        chip: "ESP8266",
        parts: [part],
        flash: { "1MB": [], "4MB": [special] },
        applications: [app],
        settings: { offset: 0xfa000, size: 4096 },
      }),
    );
    Deno.writeFileSync(`${path}/nonos-wifi/boot.bin`, new Uint8Array(5000));
    Deno.writeTextFileSync(`${path}/nonos-wifi/firmware.elf`, "not to be served");
    Deno.writeTextFileSync(`${path}/manifest.json`, "{}");
    await use(new URL(`file://${path}/`));
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

Deno.test("the current images are listed, and nothing else of the build", async () => {
  await withImages(async (folder) => {
    const images = await readImages(folder);
    assertEquals([...images.keys()].sort(), [
      "firmware/index.json",
      "firmware/nonos-wifi/boot.bin",
      "firmware/nonos-wifi/manifest.json",
    ]);
    assertEquals(JSON.parse(new TextDecoder().decode(images.get("firmware/index.json"))), [
      "nonos-wifi",
    ]);
  });
  const none = await readImages(new URL("file:///no/such/folder/"));
  assertEquals(new TextDecoder().decode(none.get("firmware/index.json")), "[]\n");
});

Deno.test("the manifest is one for ESP Web Tools, too", async () => {
  await withImages(async (folder) => {
    const text = new TextDecoder().decode(
      (await readImages(folder)).get("firmware/nonos-wifi/manifest.json"),
    );
    assertEquals(readManifest(text).flavour, "wifi");
    const { name, version, builds } = JSON.parse(text);
    assertEquals([name, version], ["holdfast", "0.1.0"]);
    assertEquals(builds, [{
      chipFamily: "ESP8266",
      parts: [{ path: "boot4.bin", offset: 0 }, { path: "main.app.bin", offset: 0xf0000 }],
    }]);
  });
});

Deno.test("a wrong manifest is passed on, so that the page can complain about it", async () => {
  await withImages(async (folder) => {
    Deno.writeTextFileSync(new URL("nonos-wifi/manifest.json", folder), "{ broken");
    const images = await readImages(folder);
    assertEquals(
      new TextDecoder().decode(images.get("firmware/nonos-wifi/manifest.json")),
      "{ broken",
    );
  });
});

Deno.test("the page is within its size limit, loads nothing from elsewhere, and is complete", async () => {
  const site = await buildSite();
  const { entry, loader } = await weigh(site);
  console.log(
    `first load: ${entry} bytes compressed, allowed ${ENTRY_BUDGET}; first board: ${loader}`,
  );
  assert(entry > 5000 && entry <= ENTRY_BUDGET, `${entry}`);
  const text = (name: string) => new TextDecoder().decode(site.get(name));
  // Links for users are not requests of the page.
  const links = /<a\s[^>]*href="https:[^>]*>/g;
  for (const [link] of text("index.html").matchAll(links)) {
    assertStringIncludes(link, `rel="noopener noreferrer"`);
  }
  const html = text("index.html").replace(links, "<a>");
  assertStringIncludes(html, "default-src 'none'");
  assertEquals(html.match(/ (src|href)="(\/|https?:)[^"]*"/g), null, "relative addresses only");
  for (const [, name] of html.matchAll(/(?:src|href)="([^"#]+)"/g)) assert(site.has(name!), name);
  for (const name of site.keys()) {
    if (!name.endsWith(".js")) continue;
    for (const [, chunk] of text(name).matchAll(/(?:from|import)\(?"\.\/([^"]+)"/g)) {
      assert(site.has(chunk!) || chunk!.startsWith("esp32"), `${name} asks for ${chunk}`);
    }
  }
  // Offline: the worker keeps every file but itself.
  const kept = JSON.parse(text("worker.js").match(/\[("\.\/".*?)\]/)![0]);
  assertEquals(kept.sort(), ["./", ...site.keys()].filter((name) => name !== "worker.js").sort());
});

Deno.test("the server serves the page and the images, and nothing else", async () => {
  const site = new Map([["index.html", new TextEncoder().encode("<!DOCTYPE html>")]]);
  const images = () =>
    Promise.resolve(new Map([["firmware/index.json", new TextEncoder().encode("[]")]]));
  const get = (path: string, method = "GET") =>
    answer(new Request(`http://localhost${path}`, { method }), site, images);
  for (const path of ["/", "/index.html", "/?x=1"]) {
    const page = await get(path);
    assertEquals([page.status, await page.text()], [200, "<!DOCTYPE html>"]);
    assertEquals(page.headers.get("content-type"), "text/html; charset=utf-8");
    assertEquals(page.headers.get("permissions-policy"), "serial=(self)");
  }
  assertEquals(await (await get("/firmware/index.json")).text(), "[]");
  const head = await get("/", "HEAD");
  assertEquals([head.status, head.headers.get("content-length"), await head.text()], [
    200,
    "15",
    "",
  ]);
  const wrong = {
    "/main.ts": 404,
    "/firmware/none.bin": 404,
    "/../deno.json": 404,
    "/%2e%2e/deno.json": 404,
    "/%": 400,
  };
  for (const [path, status] of Object.entries(wrong)) {
    const response = await get(path);
    assertEquals(response.status, status, path);
    await response.body?.cancel();
  }
  const post = await get("/", "POST");
  assertEquals([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
  await post.body?.cancel();
});

/** Runs the command line to its end. */
async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", "--no-check", MAIN, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

Deno.test("the command line prints its help, and refuses wrong options with the reason", async () => {
  const help = await run("--help");
  assertEquals(help.code, 0);
  for (const word of ["--port", "--host", "--build-only", "--out", "--json"]) {
    assertStringIncludes(help.out, word);
  }
  const wrong: [string[], string][] = [
    [["--port", "x"], "--port takes a whole number"],
    [["--port", "65536"], "--port takes a whole number"],
    [["--out", "x"], "--out belongs to --build-only"],
    [["--host", ""], "--host takes"],
    [["--prot", "1"], "--prot"],
    [["page"], "page"],
  ];
  for (const [args, reason] of wrong) {
    const { code, out, err } = await run(...args);
    assertEquals([code, out], [2, ""], args.join(" "));
    assertStringIncludes(err, reason);
  }
});

Deno.test("the lines with “task” that page and README show are right in a fresh clone", async () => {
  const root = new URL("../../", import.meta.url);
  const shown = [
    await Deno.readTextFile(new URL("README.md", root)),
    await Deno.readTextFile(new URL("bridge/README.md", root)),
    await Deno.readTextFile(new URL("README.md", import.meta.url)),
    await Deno.readTextFile(new URL("page/index.html", import.meta.url)),
    ...explain(new FlashError("NO_FILE", "it is gone"), true).tries,
  ].join("\n");
  const lines = new Set(shown.match(/npx -y deno@\S+ task (flasher|build my_app\.ts)/g));
  assertEquals([...lines].sort(), [
    `${DENO} task build my_app.ts`,
    `${DENO} task flasher`,
  ]);
  const folder = await Deno.makeTempDir({ prefix: "holdfast-clone-" });
  try {
    await clone(folder, [
      "bridge",
      "client-as",
      "server",
      "asconfig.json",
      "deno.json",
      "deno.lock",
      "LICENSE",
    ]);
    await Deno.writeTextFile(
      `${folder}/my_app.ts`,
      'export * from "./client-as/assembly/core";\nexport function onStart(): void {}\n',
    );
    /** The same Deno as npx would bring, in the same shell, on a port that is free. */
    const start = (line: string, more = "") =>
      new Deno.Command("sh", {
        args: ["-c", line.replace(DENO, `exec '${Deno.execPath()}'`) + more],
        cwd: folder,
        env: { NO_COLOR: "1", INIT_CWD: folder }, // the task that runs these tests has set it to another folder
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      });
    const built = await start(`${DENO} task build my_app.ts`).output();
    assert(built.success, new TextDecoder().decode(built.stderr));
    assert((await Deno.stat(`${folder}/my_app.wasm`)).size > 1000);

    await using page = served(start(`${DENO} task flasher`, " --port 0 --json"));
    const response = await fetch((await page.facts()).url);
    // Its advice is for users who have the clone.
    assertStringIncludes(await response.text(), "<html data-served-here ");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the page is built into a folder, to be hosted elsewhere", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const { code, out, err } = await run("--build-only", "--out", `${folder}/site`, "--json");
    assertEquals(code, 0, err);
    const { weight, out: where } = JSON.parse(out);
    assert(weight.entry <= ENTRY_BUDGET);
    assertEquals(where, `${folder}/site`);
    const names = Array.from(Deno.readDirSync(where), ({ name }) => name);
    for (const name of ["index.html", "main.js", "worker.js", "firmware"]) {
      assert(names.includes(name), name);
    }
    const html = Deno.readTextFileSync(`${where}/index.html`);
    assertEquals(html.includes("data-served-here"), false);
    JSON.parse(Deno.readTextFileSync(`${where}/firmware/index.json`));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("the page is served on this computer until a signal ends it; a port in use is reported", async () => {
  await using page = served(
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", "--no-check", MAIN, "--port", "0", "--json"],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }),
  );
  const { url, weight } = await page.facts();
  assertMatch(url, /^http:\/\/localhost:\d+\/$/);
  assert(weight.entry > 0);
  assertStringIncludes(await (await fetch(url)).text(), "<h1>Holdfast flasher</h1>");
  const { code, err } = await run("--port", new URL(url).port);
  assertEquals(code, 1);
  assertStringIncludes(err, "is in use: choose another with --port");
});

/** A page that is served until a signal ends it. */
function served(command: Deno.Command) {
  const child = command.spawn();
  const said = { out: "", err: "" };
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>, to: "out" | "err") => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) said[to] += text;
  };
  const reading = Promise.all([read(child.stdout, "out"), read(child.stderr, "err")]);
  return {
    /** What it prints when it can be opened. */
    async facts() {
      await until(() => said.out.includes("\n"), { what: () => `the address: ${said.err}` });
      return JSON.parse(said.out);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await reading;
      assertEquals((await child.status).code, 0, said.err);
    },
  };
}
