/** The server's configuration in a file: every option has its key, its schema is published, errors name the key. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Validator } from "@cfworker/json-schema";
import { fails, folder, Process } from "../../tests/support/main_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { LocalError } from "../protocol/errors.ts";
import { configSchema, KEYS, readConfig } from "./config.ts";
import { parse } from "./options.ts";
import { HELP, OPTIONS } from "./serve_options.ts";

const PUBLISHED = new URL("./config.schema.json", import.meta.url);

/** The arguments that a configuration with this content stands for. */
function read(config: unknown): { args: string[]; folder: string } {
  using place = folder();
  const path = `${place.path}/holdfast.jsonc`;
  Deno.writeTextFileSync(path, typeof config === "string" ? config : JSON.stringify(config));
  return { args: readConfig(path), folder: place.path };
}

function complaint(config: unknown): string {
  try {
    return `nothing, but ${read(config).args}`;
  } catch (error) {
    assert(error instanceof LocalError && error.code === "BAD_ARGUMENT");
    return error.message;
  }
}

const isAllowed = (config: unknown) => {
  return new Validator(configSchema(), "2020-12").validate(config).valid;
};

Deno.test("each option has a key, a line in the help and an entry in the published schema", () => {
  const names = Object.keys(OPTIONS).filter((name) => name !== "config" && name !== "help");
  assertEquals(Object.keys(KEYS).sort(), names.sort());
  for (const name of names) assertStringIncludes(HELP, `\n  --${name}`);
  const published = JSON.parse(Deno.readTextFileSync(PUBLISHED));
  assertEquals(
    published,
    JSON.parse(JSON.stringify(configSchema())),
    'generate it again: deno eval \'import { configSchema } from "./server/cli/config.ts"; ' +
      "console.log(JSON.stringify(configSchema()))' > server/cli/config.schema.json; deno fmt",
  );
});

Deno.test("each key works like its option, and the schema allows it", () => {
  for (const [name, { type, multiple, takes, complete }] of Object.entries(KEYS)) {
    const isNumber = ["N", "MS", "PORT"].includes(takes ?? "");
    const value = type === "boolean"
      ? true
      : name === "limit"
      ? { inbox: 7 }
      : multiple
      ? ["one", "two"]
      : isNumber
      ? 7
      : Array.isArray(complete)
      ? complete.at(-1)
      : "/some=thing";
    const config = { [name]: value };
    assertEquals([name, isAllowed(config)], [name, true]);
    const { args, folder: from } = read(config);
    const place = (one: string) => complete === "file" && name !== "app" ? `${from}/${one}` : one;
    const expected = name === "limit"
      ? ["inbox=7"]
      : multiple
      ? ["one", "two"].map(place)
      : type === "boolean"
      ? true
      : String(value);
    assertEquals([name, (parse(args) as Record<string, unknown>)[name]], [name, expected]);
  }
});

Deno.test("paths are relative to the configuration's folder; the command line overrides it", () => {
  const { args, folder: from } = read({
    store: "data/holdfast.db",
    app: ["echo", "./my.ts"],
    keys: "/k",
    port: 1,
  });
  const values = parse([...args, "--port", "2", "--app", "logger"]);
  assertEquals(values.store, `${from}/data/holdfast.db`);
  assertEquals(values.app, ["echo", `${from}/my.ts`, "logger"]);
  assertEquals([values.keys, values.port], ["/k", "2"]);
  assertEquals(read({ store: ":memory:", open: false }).args, ["--store=:memory:"]);
});

Deno.test("errors in a configuration are reported by key, and the schema finds them too", () => {
  for (
    const [config, text] of [
      [{ prot: 1 }, 'there is no key "prot"'],
      [{ tlsCert: "x" }, 'there is no key "tlsCert": is it "tls-cert"?'],
      [{ config: "other.jsonc" }, 'there is no key "config"'],
      [{ help: true }, 'there is no key "help"'],
      ['{"__proto__": 1}', 'there is no key "__proto__"'],
      [{ open: "yes" }, '"open" must be true or false'],
      [{ port: "8123" }, '"port" must be a whole number'],
      [{ port: -1 }, '"port" must be a whole number'],
      [{ port: 1.5 }, '"port" must be a whole number'],
      [{ log: "xml" }, '"log" must be one of text, json'],
      [{ app: "echo" }, '"app" must be a list of strings'],
      [{ app: [1] }, '"app" must be a list of strings'],
      [{ stock: [""] }, '"stock" must be a list of strings'],
      [{ store: "" }, '"store" must be a string'],
      [{ store: null }, '"store" must be a string'],
      [{ limit: ["inbox=1"] }, '"limit" must be an object'],
    ] as const
  ) {
    assertStringIncludes(complaint(config), text);
    if (typeof config !== "string") assertEquals([text, isAllowed(config)], [text, false]);
  }
  for (
    const [text, said] of [["[]", "must be an object"], ["null", "must be an object"], [
      "{",
      "JSON",
    ], ["{} /*", "line 1"]]
  ) {
    assertStringIncludes(complaint(text), said!);
  }
});

Deno.test("a server starts with a configuration, and reports one that is invalid", async () => {
  using place = folder();
  const path = `${place.path}/holdfast.jsonc`;
  Deno.writeTextFileSync(
    path,
    `{
    // Every device may connect.
    "open": true,
    "host": "127.0.0.1", "port": 0, "log": "json",
    "app": ["echo"],
    "limit": { "inbox": 10 },
  }`,
  );
  {
    await using process = new Process(["serve", "--config", path]);
    await using peer = await RawPeer.dial(await process.port());
    await peer.say("1\n00hello\n");
    await peer.hears("00", "00echo hello");
  }
  Deno.writeTextFileSync(path, '{ "limit": { "inbocks": 1 }, "open": true }');
  const [code, said] = await fails("serve", "--config", path);
  assertEquals([code, said.includes("--limit inbocks: there is no such limit")], [
    2,
    true,
  ], said);
  Deno.writeFileSync(path, new Uint8Array([0x7b, 0xff, 0x7d]));
  for (
    const [file, text] of [[path, `--config ${path}: `], [`${path}x`, "No such file"], [
      place.path,
      "directory",
    ]]
  ) {
    const [code, said] = await fails("--config", file!);
    assertEquals([code, said.includes(text!)], [2, true], said);
  }
});
