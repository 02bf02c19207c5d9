/** The rules on small made-up trees: each finds its violations, and nothing else. */
import { assertEquals } from "@std/assert";
import { callCircles, cFolders, definitions, includeCircles } from "./calls.ts";
import { circles, graphOf } from "./graph.ts";
import { importsOf } from "./imports.ts";
import { deadAnchors, deadLinks, goneFiles, registersAgain, tooLong, unmapped } from "./maps.ts";
import { doubleMeanings, type Name } from "./names.ts";
import { processChanges } from "./processes.ts";
import { pythonAlone } from "./python.ts";
import {
  bridgeAndServer,
  coreAlone,
  formatsAlone,
  importCircles,
  serverOrder,
  testsApart,
} from "./rooms.ts";
import { withoutComments } from "./text.ts";
import { treeOf } from "./tree.ts";

/** Imports of a made-up tree. */
const importsIn = (files: Record<string, string>) => importsOf(treeOf(files));
const from = (...names: string[]) => names.map((name) => `import {} from "${name}";`).join("\n");

Deno.test("imports are found in every form, and only in code", () => {
  const files = {
    "a/one.ts": [
      'import { x } from "./two.ts";',
      'import type { Y } from "../b/three.ts";',
      'export * from "./two.ts";',
      'export type { Z } from "../b/three.ts";',
      "import {\n  type P,\n  q,\n} from './two.ts';",
      'import "./two.ts";',
      'const late = await import("./two.ts");',
      'import { bare } from "node:fs";',
      'import { mapped } from "@std/x";',
      '// import { no } from "./four.ts";',
      '/* import { no } from "./four.ts"; */',
      'const text = `import { no } from "./four.ts"; ${ `${1}` } import "./four.ts"`;',
      'const pattern = /import ".\\/four"/; const half = 1 / 2; const more = 3 / 4;',
      'const quoted = "import \\"./four.ts\\"";',
      'export function fromIt(a: string) { return a + "from"; }',
    ].join("\n"),
    "a/two.ts": "",
    "a/four.ts": "",
    "b/three.ts": "",
    "c/assembly.ts": 'import { load } from "./core";',
    "c/core.ts": "",
  };
  const found = importsOf(treeOf(files), { "@std/x": "./std/x.ts", "@std/y": "npm:y" });
  assertEquals(
    found.map(({ from, to, typeOnly }) => `${from} ${typeOnly ? "type " : ""}${to}`).sort(),
    [
      "a/one.ts a/two.ts",
      "a/one.ts a/two.ts",
      "a/one.ts a/two.ts",
      "a/one.ts a/two.ts",
      "a/one.ts a/two.ts",
      "a/one.ts std/x.ts",
      "a/one.ts type b/three.ts",
      "a/one.ts type b/three.ts",
      "c/assembly.ts c/core.ts",
    ],
  );
});

Deno.test("comments, templates and patterns are not code, but the text after them is", () => {
  const cases: [source: string, code: string][] = [
    ["`${a}` + b", "a + b"],
    ["`${ { c: `}` } }` + d", "{ c: } + d"],
    ["`\\`` + e", "+ e"],
    ["x = /[/`]/ + f", "x = + f"],
    ["g / 2 // `\nh", "g / 2 h"],
    ["'`' + i + \"`\" + j", "'`' + i + \"`\" + j"],
    ["`$` + k /* ` */", "+ k"],
  ];
  for (const [source, code] of cases) {
    const left = withoutComments(source);
    assertEquals(left.replace(/\s+/g, " ").trim(), code);
    assertEquals(left.length, source.length, source);
  }
});

Deno.test("the server's imports point down", () => {
  const below = {
    "server/main.ts": from("./mod.ts", "../bridge/host/mod.ts"),
    "server/mod.ts": from("./server.ts"),
    "server/server.ts": from("./runtime/listener.ts", "./store/store.ts"),
    "server/runtime/listener.ts": from("./turn.ts", "../link/session.ts"),
    "server/link/session.ts": from("../protocol/lines.ts") +
      'import type { Store } from "../store/store.ts";',
    "server/apps/echo.ts": from("../mod.ts"),
    "server/link/session_test.ts": from("../server.ts"),
  };
  assertEquals(serverOrder(importsIn(below)), []);
  assertEquals(
    serverOrder(importsIn({
      "server/link/session.ts": from("../store/store.ts"),
      "server/cli/keys.ts": from("../mod.ts"),
      "server/apps/deep/app.ts": from("../../mod.ts"),
      "server/attic/old.ts": from("../protocol/lines.ts"),
    })),
    [
      "server/apps/deep/app.ts imports server/mod.ts, which is above it",
      "server/attic has no place in this order",
      "server/cli/keys.ts imports server/mod.ts, which is above it",
      "server/link/session.ts imports server/store/store.ts, which is above it",
    ],
  );
});

Deno.test("bridge and server meet at the public face", () => {
  assertEquals(
    bridgeAndServer(importsIn({
      "server/main.ts": from("../bridge/host/mod.ts"),
      "server/server_test.ts": from("../bridge/host/mod.ts"),
      "bridge/host/client.ts": from("../../server/mod.ts", "../../server/protocol/errors.ts"),
      "bridge/host/client_test.ts": from("../../server/store/store.ts"),
    })),
    [],
  );
  assertEquals(
    bridgeAndServer(importsIn({
      "server/device.ts": from("../bridge/host/mod.ts"),
      "server/runtime/turn.ts": 'import type { X } from "../../client-as/build.ts";',
      "bridge/host/client.ts": from("../../server/admission/access.ts", "../../server/server.ts"),
    })),
    [
      "bridge/host/client.ts imports server/admission/access.ts",
      "bridge/host/client.ts imports server/server.ts",
      "server/device.ts imports bridge/host/mod.ts",
      "server/runtime/turn.ts imports client-as/build.ts",
    ],
  );
});

Deno.test("formats and the core stand alone, and so do tests", () => {
  const imports = importsIn({
    "bridge/formats/image.ts": from("./crc32.ts", "../esp8266/elf.ts", "../../server/mod.ts"),
    "bridge/formats/image_test.ts": from("../esp8266/elf.ts", "../../tests/support/wait.ts"),
    "bridge/host/board.ts": from("../formats/image.ts", "../../tests/support/wait.ts"),
    "client-as/assembly/core.ts": from("./registers", "../../bridge/formats/image.ts"),
    "client-as/assembly/registers.ts": "",
    "tests/support/wait.ts": from("../../bridge/formats/image_test.ts"),
  });
  assertEquals(formatsAlone(imports), ["bridge/formats/image.ts imports bridge/esp8266/elf.ts"]);
  assertEquals(coreAlone(imports), ["client-as/assembly/core.ts imports bridge/formats/image.ts"]);
  assertEquals(testsApart(imports), [
    "bridge/host/board.ts imports tests/support/wait.ts",
    "tests/support/wait.ts imports bridge/formats/image_test.ts, which is a test",
  ]);
});

Deno.test("each cycle is found once, and shown as a path", () => {
  const pairs = (text: string) =>
    text.split(" ").map((pair) => pair.split(">") as [string, string]);
  assertEquals(circles(graphOf(pairs("a>b b>c a>c c>d"))), []);
  assertEquals(circles(graphOf(pairs("a>a"))), []); // it depends only on itself
  assertEquals(circles(graphOf(pairs("x>a a>b b>c c>a b>a"))), [["a", "b"]]);
  assertEquals(circles(graphOf(pairs("a>b b>a c>d d>e e>c b>c"))), [["a", "b"], ["c", "d", "e"]]);
});

Deno.test("modules that import each other are found, even if only for types", () => {
  const imports = importsIn({
    "a.ts": from("./b.ts"),
    "b.ts": 'import type { A } from "./a.ts";',
    "c.ts": from("./a.ts"),
  });
  assertEquals(importCircles(imports), ["a.ts -> b.ts -> a.ts"]);
  assertEquals(importCircles(imports, [{ files: ["a.ts", "b.ts"], why: "they are twins" }]), []);
  assertEquals(importCircles(imports, [{ files: ["a.ts", "c.ts"], why: "of others" }]).length, 1);
});

Deno.test("the definitions of a C file that others can use are found", () => {
  assertEquals(
    definitions(`
      #define LOOP(x) do { other(x); } while (0)
      #include "a.h"
      /* int commented(void) {} */
      const char name[] = "x{";
      static int hidden; extern int elsewhere; int shared = 3;
      uint8_t buffer[2 * (3 + 4)];
      struct pair { int a; };
      enum kind { ONE, TWO };
      typedef struct pair pair;
      static struct { int a; } only = { 1 };
      void declared(void);
      static void __attribute__((noreturn)) restart(uint32_t note) { for (;;) {} }
      IN_IRAM void wake(void) { if (woken) { return; } }
      bool scan(void (*found)(const char *name, int n)) {
        return found != 0;
      }
      struct pair *make(int a) { return 0; }
      const uint8_t *__table__ = classes;
    `),
    ["name", "shared", "buffer", "wake", "scan", "make", "__table__"],
  );
});

Deno.test("C files that call each other, or include each other, are found", () => {
  const tree = treeOf({
    "fw/main.c": '#include "main.h"\nvoid start(void) { work(); }\nvoid again(void) {}',
    "fw/main.h": '#include "work.h"\n',
    "fw/work.h": '#include "main.h"\n',
    "fw/work.c": "void work(void) { go(again); } /* start */",
    "fw/apart.c": "static void work(void) {} void alone(void) { work(); }",
    "other/work.c": "void go(void *f) { start(); }",
  });
  assertEquals(cFolders(tree), ["fw", "other"]);
  assertEquals(callCircles(tree, "fw"), ["fw: main.c -> work.c -> main.c"]);
  assertEquals(callCircles(tree, "other"), []);
  assertEquals(includeCircles(tree), ["fw/main.h -> fw/work.h -> fw/main.h"]);
});

Deno.test("long files say why at their head", () => {
  const lines = (count: number, head = "") => `${head}${"x;\n".repeat(count)}`;
  const tree = treeOf({
    "short.ts": lines(5),
    "long.ts": lines(6),
    "long.c": lines(6),
    "why.ts": lines(9, "/**\n * Long because it is a list of bugs.\n */\n"),
    "why.c": lines(9, "// Long because both ends share a lock.\n"),
    "late.ts": lines(99) + "// Long because it is.\n",
    "empty.ts": lines(9, "// Long because\n"),
    "style.css": lines(9),
    "made.c": lines(9, "/* Automatically generated by wasm2c */\n"),
    "says.c": lines(9, "// not /* Automatically generated by wasm2c */\n"),
    "sketch.ino": lines(6),
  });
  assertEquals(tooLong(tree, 5), [
    "empty.ts: 10 lines",
    "late.ts: 100 lines",
    "long.c: 6 lines",
    "long.ts: 6 lines",
    "says.c: 10 lines",
    "sketch.ino: 6 lines",
  ]);
});

Deno.test("a reserved name of another folder, file or type is found", () => {
  const names: Name[] = [
    { word: "link", means: "the whole", files: ["server/link"], types: [] },
    { word: "board", means: "a class", files: ["host/board.ts"], types: ["host/board.ts"] },
    { word: "store", means: "what stays", types: ["server/store.ts"] },
  ];
  const tree = treeOf({
    "server/link/session.ts": "export class Session {}",
    "server/link/link_test.ts": "",
    "server/store.ts": "export interface Store {}",
    "tests/store.ts": 'import { type Store } from "../server/store.ts"; class StoreUnderTest {}',
    "host/board.ts": "export class Board {}\n// class Link {}\nconst s = `\nclass Link {}`;",
    "host/board_test.ts": "",
    "host/boards.ts": "type Linked = 1;",
    "chip/board/pins.c": "",
    "chip/link.h": "",
    "chip/linker.ld": "",
    "demo/link.ts":
      "interface Link {\n}\nexport type Board<T> = T;\nabstract class Store extends X {}",
  });
  assertEquals(doubleMeanings(tree, names), [
    'chip/board: "board" is a class',
    'chip/link.h: "link" is the whole',
    'demo/link.ts: "link" is the whole',
    "demo/link.ts: Board is a class",
    "demo/link.ts: Link is the whole",
    "demo/link.ts: Store is what stays",
  ]);
});

Deno.test("folders with code that no README mentions are found", () => {
  const tree = treeOf({
    "README.md": "| [a/](a) | and `b/inner` |",
    "a/x.ts": "",
    "a/deep/x.ts": "",
    "b/inner/x.ts": "",
    "b/other/x.c": "",
    "b/own/README.md": "# Own\n\n- `parts/` the parts",
    "b/own/x.ts": "",
    "b/own/parts/x.py": "",
    "pictures/x.svg": "",
  });
  assertEquals(unmapped(tree), ["a/deep", "b/other"]);
});

Deno.test("links to missing files are found", () => {
  const tree = treeOf({
    "README.md": [
      "[a](a/b.ts) [folder](a/) [up](./a/b.ts#part) [web](https://x.example/y) [here](#there)",
      "[gone](a/c.ts) ![picture](a/p.svg)",
      "```ts\nconst x = [1](nothing.ts);\n```",
      "    [code](nowhere.ts)",
    ].join("\n"),
    "a/b.ts": "",
    "a/NOTES.md": "[top](../README.md) [out](../../etc/x) [b](b.ts)",
  });
  assertEquals(deadLinks(tree), [
    "README.md: a/c.ts",
    "README.md: a/p.svg",
    "a/NOTES.md: ../../etc/x",
  ]);
});

Deno.test("files that a page names and that do not exist are found", () => {
  const tree = treeOf({
    "a/README.md":
      "`b_test.ts` `c/d_test.ts` `../e/f.ts` `e/f.ts` `iot/client.py` `g_test.ts` `a/gone.c` `e/` `a/out.bin`",
    "a/b_test.ts": "",
    "a/c/d_test.ts": "",
    "e/f.ts": "",
  });
  assertEquals(goneFiles(tree), ["a/README.md: a/gone.c", "a/README.md: g_test.ts"]);
});

Deno.test("links to parts of a page that it does not have are found", () => {
  const tree = treeOf({
    "README.md":
      "# Top\n[a](a/b.md#how-it-is) [b](a/b.md#how) [c](#top) [d](#bottom) [e](a/x.ts#L3) [f](b#in) [g](b/#out)",
    "b/README.md": "## In",
    "a/b.md":
      "# How it `is`!\n```\n# How\n```\n## [Twice](x)\n## Twice\n[two](#twice-1) [3](#twice-2)",
    "a/x.ts": "",
  });
  assertEquals(deadAnchors(tree), [
    "README.md: #bottom",
    "README.md: a/b.md#how",
    "README.md: a/x.ts#L3",
    "README.md: b/#out",
    "a/b.md: #twice-2",
  ]);
});

Deno.test("a register that is numbered again is found", () => {
  const tree = treeOf({
    "client-as/assembly/registers.ts": "export const STATE = 0;\nexport const TX_EPOCH = 24;\n",
    "tests/sim/bugs.ts": "const TX_EPOCH = 24;\nconst STATE = 0;\n// const TX_EPOCH = 24;",
    "app.ts": "const TX_EPOCH: usize = 24;\n",
    "other.ts": "const TX_EPOCH = 25;\nconst EPOCH = 24;\n",
  });
  assertEquals(registersAgain(tree), [
    "app.ts: TX_EPOCH = 24, as in registers.ts",
    "tests/sim/bugs.ts: TX_EPOCH = 24, as in registers.ts",
  ]);
});

Deno.test("Python for boards imports only what boards have, and its state machines only what computes", () => {
  const tree = treeOf({
    "bridge/micropython/holdfast/client.py":
      '"""\nimport x\n"""\nimport socket\nfrom .core import UP\nimport y',
    "bridge/micropython/holdfast/cpython.py": "import traceback",
    "bridge/micropython/holdfast/core.py": "from hashlib import sha256\nif 1:\n    import time",
    "bridge/pyboard/micropython/holdfast_link/a.py": "from collections.abc import z",
    "tests/a.py": "import anything",
  });
  assertEquals(pythonAlone(tree), [
    "bridge/micropython/holdfast/client.py imports y",
    "bridge/micropython/holdfast/core.py imports time",
    "bridge/pyboard/micropython/holdfast_link/a.py imports collections.abc",
  ]);
});

Deno.test("a test changes the current folder or the environment only in a process of its own", () => {
  const tree = treeOf({
    "a_test.ts": [
      'Deno.test("alone", (t) =>',
      '  inOwnProcess(t, () => Deno.chdir("/")));',
      "",
      "// Deno.chdir(elsewhere)",
      'Deno.test("beside others", () => {',
      "  Deno.chdir(folder);",
      '  Deno.env.set("A", "1");',
      "});",
    ].join("\n"),
    "main.ts": "Deno.chdir(root);",
  });
  assertEquals(processChanges(tree), ["a_test.ts:6: Deno.chdir", "a_test.ts:7: Deno.env.set"]);
});
