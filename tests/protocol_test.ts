/**
 * Checks the protocol's pages: their exchanges are those of the vectors, with which both ends are tested; each promise
 * has a test that exists; their tables are readable.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { coreModule } from "../bridge/host/core.ts";
import { FAULTS } from "./sim/fault_kinds.ts";
import { MUTATIONS } from "./sim/mutations.ts";
import { ClientEnd } from "./support/client_end.ts";
import { bytesOf, fromLatin1, latin1 } from "./support/ends.ts";
import type { Vector } from "./vectors/replay.ts";

const ROOT = new URL("../", import.meta.url);
const PAGES = [
  "PROTOCOL",
  "EXCHANGES",
  "DIALECT1",
  "SEALING",
  "DEADLINES",
  "CHANNELS",
  "FIRMWARE",
  "PROMISES",
];

/** Most characters in a cell of a table. Longer text belongs in a sentence below it. */
const CELL = 100;

const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));
const page = (name: string) => read(`client-as/${name}.md`);
const vector = (name: string): Vector => JSON.parse(read(`tests/vectors/${name}.json`));

/** One line on the wire, or the end of a connection: when, by whom, and the bytes as Latin-1 or the reason. */
type Event = [at: number, who: string, what: string];

/** The events of a vector, from one end's view. */
function ofVector(name: string, end: "client" | "server"): Event[] {
  const [out, into] = end === "client" ? ["device", "server"] : ["server", "device"];
  return vector(name)[end]!.steps.flatMap(([at, step, value]): Event[] => {
    if (step === "close") return [[at, "close", String(value)]];
    const hex = step.endsWith("Hex");
    const kind = hex ? step.slice(0, -3) : step;
    if (kind !== "out" && kind !== "in") return [];
    return linesOf(latin1(bytesOf(value, hex))).map((
      line,
    ) => [at, kind === "out" ? out : into, line]);
  });
}

function linesOf(bytes: string): string[] {
  return bytes.match(/[^\n]*\n/g) ?? [];
}

/** The core's events for a message whose deadline passes while nobody can say whether it has arrived. */
function ofExpiry(): Event[] {
  const events: Event[] = [];
  const end = new ClientEnd(coreModule(), { dialect: 2, line: 128 });
  const note = (who: string, bytes: string) =>
    events.push(...linesOf(bytes).map((line): Event => [end.now, who, line]));
  const at = (time: number, act: () => void) => {
    end.pass(time);
    act();
    note("device", end.take().out);
  };
  const hear = (time: number, text: string) => {
    end.pass(time);
    note("server", latin1(bytesOf(text)));
    at(time, () => end.input("in", text));
  };
  const welcomes = ofVector("dialect2_greeting", "client").filter(([, who]) => who === "server");
  const welcome = welcomes[0]![2];
  at(1, () => end.input("opened"));
  hear(5, welcome);
  end.take();
  events.splice(2); // its keepalive does not matter here
  at(10, () => end.input("write", "a"));
  at(30, () => end.input("lost"));
  end.input("write", "b");
  assertEquals(end.expire(0), "open");
  at(101, () => end.input("opened"));
  hear(105, welcome.replace(/(d1){16}/, "d2".repeat(16)));
  end.pass(110);
  note("server", "\n");
  end.receive(bytesOf("\n"));
  assertEquals(end.expire(0), "EXPIRED");
  at(110, () => {});
  hear(115, "01\n");
  return events;
}

/** The events of a sealed session, which have no times. */
function ofSession(name: string): Event[] {
  const session = JSON.parse(read("tests/vectors/seal/vectors.json"))[name];
  const said = (who: string, line: string): Event => [0, who, line];
  return [
    said("device", session.hello),
    said("server", session.welcome),
    said("device", session.proof),
    ...session.records.map(({ to, sealed }: { to: string; sealed: string }) =>
      said(to === "toServer" ? "device" : "server", latin1(bytesOf(sealed, true)))
    ),
  ];
}

/** An exchange as a page shows it. */
interface Shown {
  page: string;
  source: string[];
  events: Event[];
}

/** All exchanges: blocks whose first line names their source. */
function shown(): Shown[] {
  return PAGES.flatMap((name) =>
    [...page(name).matchAll(/^```text (.+)\n([^]*?)^```/gm)].map(([, source, rows]) => ({
      page: name,
      source: source!.split(" "),
      events: rows!.split("\n").flatMap((row) => eventOf(row)),
    }))
  );
}

/** A row such as ` 10 device  00a\n   ; a comment`; rows with only a comment are not events. */
function eventOf(row: string): Event[] {
  const bare = row.replace(/ *;.*$/, "");
  if (bare.trim() === "") return [];
  const parts = bare.match(/^ *(\d*) *(device|server|close) +(.*)$/);
  if (!parts) throw new Error(`this row is not an event: ${row}`);
  const [, at, who, what] = parts;
  return [[Number(at), who!, who === "close" ? what! : bytesOfRow(what!)]];
}

function bytesOfRow(what: string): string {
  if (/^[0-9a-f ]+$/.test(what)) return latin1(bytesOf(what.replaceAll(" ", ""), true)); // a record
  const isGreeting = /^\\x0[1-4] /.test(what);
  const line = isGreeting
    ? what.replaceAll(" ", "").replace(/(\w\w)…\1/, (_, pair) => pair.repeat(16))
    : what;
  const plain = line.replace(
    /\\(x(\w\w)|[nt])/g,
    (it, _, digits) =>
      digits ? String.fromCharCode(parseInt(digits, 16)) : it === "\\n" ? "\n" : "\t",
  );
  return latin1(bytesOf(plain));
}

/** The source that an exchange claims to show. */
function sourceOf([name, end, range]: string[]): Event[] {
  const all = name === "expiry"
    ? ofExpiry()
    : name === "seal"
    ? ofSession(end!)
    : ofVector(name!, end as "client" | "server");
  const [from, to] = (range ?? "0-Infinity").split("-").map(Number);
  return all.filter(([at]) => at >= from! && at <= to!);
}

for (const { page, source, events } of shown()) {
  Deno.test(`${page}.md shows what lies on the wire: ${source.join(" ")}`, () => {
    const actual = sourceOf(source);
    // Only the beginning of the session is shown.
    assertEquals(events, source[0] === "seal" ? actual.slice(0, events.length) : actual);
  });
}

Deno.test("the protocol shows an exchange for each thing that can happen", () => {
  const sources = shown().map(({ source }) => source[0]);
  for (
    const name of [
      "dialect2_greeting",
      "dialect2_proof",
      "dialect2_resume",
      "dialect2_gap",
      "dialect2_refusals",
      "dialect2_wrong_proof",
      "dialect2_reset_position_kept",
      "dialect2_reset_position_lost",
      "dialect2_server_old_copy",
      "expiry",
      "seal",
    ]
  ) assert(sources.includes(name), name);
});

Deno.test("the proof in the protocol's example is the vector's", () => {
  const lines = ofVector("dialect2_proof", "client").map(([, , line]) => line);
  const [, worked] = page("PROTOCOL").match(/^ +welcome +(%x02 02 .*) d1…d1 P$/m) ?? [];
  const bytes = worked!.replaceAll(" ", "").replace("%x02", "\x02");
  assert(lines.some((line) => line.startsWith(bytes)), worked);
  assertEquals(fromLatin1(lines[0]!)[0], 1);
});

Deno.test("no cell of the protocol's tables is a paragraph", () => {
  for (const name of PAGES) {
    for (const row of page(name).split("\n").filter((line) => line.startsWith("|"))) {
      for (const cell of row.split("|")) {
        assert(cell.trim().length <= CELL, `${name}.md: ${cell.trim()}`);
      }
    }
  }
});

/** The first cells of the table of promises. */
function promises(): string[] {
  return page("PROMISES").split("\n")
    .filter((line) => /^\| /.test(line) && !/^\| (what fails|whatever of the above|-)/.test(line))
    .map((line) => line.split("|")[1]!.trim());
}

/** The tests named for each of them in tests/README.md. */
function held(): [promise: string, by: string][] {
  const [, section] = read("tests/README.md").split("## What holds each promise\n");
  return section!.split("\n## ")[0]!.split(/^- /m).slice(1).map((entry) => {
    const text = entry.replaceAll(/\s+/g, " ").trim();
    const [, promise, by] = text.match(/^\*\*(.*?)\*\*: (.*)$/)!;
    return [promise!, by!];
  });
}

Deno.test("each promise has tests, and nothing else is listed as a promise", () => {
  assertEquals(held().map(([promise]) => promise).sort(), promises().sort());
});

Deno.test("the tests that are listed for a promise exist", () => {
  const bugs = new Set(MUTATIONS.map(({ name }) => name));
  const faults = new Set<string>(FAULTS);
  const missing: string[] = [];
  for (const [promise, by] of held()) {
    const marked = [...by.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
    const files = marked.filter((name) => name.endsWith(".ts"));
    const texts = files.map((file) => exists(file) ? read(file) : "");
    for (const name of marked) {
      const isThere = faults.has(name) || exists(name) || exists(`tests/vectors/${name}.json`) ||
        exists(`client-as/assembly/__tests__/${name}.spec.ts`) ||
        name.startsWith("task ") || name === "consume";
      if (!isThere) missing.push(`${promise}: ${name}`);
    }
    for (const [, name] of by.matchAll(/"([^"]+)"/g)) {
      const isThere = bugs.has(name!) || texts.some((text) => text.includes(name!)) ||
        promises().includes(name!);
      if (!isThere) missing.push(`${promise}: "${name}"`);
    }
    if (!/[`"]/.test(by)) missing.push(`${promise}: nothing`);
  }
  assertEquals(missing, []);
});

function exists(path: string): boolean {
  try {
    return Deno.statSync(new URL(path, ROOT)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
