/**
 * Rules for the tree that no compiler checks: imports, the meaning of names, maps and links. Each rule is a test, and
 * says what to do when it fails. The rules are implemented and tested in `tidy/`.
 *
 * @module
 */
import { callCircles, cFolders, includeCircles } from "./tidy/calls.ts";
import { importsOf } from "./tidy/imports.ts";
import {
  deadAnchors,
  deadLinks,
  goneFiles,
  MOST_LINES,
  registersAgain,
  tooLong,
  unmapped,
} from "./tidy/maps.ts";
import { doubleMeanings } from "./tidy/names.ts";
import { processChanges } from "./tidy/processes.ts";
import { pythonAlone } from "./tidy/python.ts";
import {
  bridgeAndServer,
  coreAlone,
  formatsAlone,
  importCircles,
  type Knot,
  serverOrder,
  testsApart,
} from "./tidy/rooms.ts";
import { readTree, within } from "./tidy/tree.ts";

const tree = readTree(new URL("../", import.meta.url));
const { imports: names } = JSON.parse(tree.get("deno.json")!);
const imports = importsOf(tree, names);

/** Modules that may import each other, with the reason. There should be none. */
const KNOTS: readonly Knot[] = [
  {
    files: ["channels", "chip", "device", "disk", "faults", "host", "process", "server", "world"]
      .map((name) => `tests/sim/${name}.ts`),
    why:
      "a simulated world is one machine in several files: its devices ask it for the time and for chance",
  },
];

/** Registers one rule: the test fails if anything is found, and says how to fix it. */
function rule(name: string, found: () => string[], fix: string): void {
  Deno.test(`tidy: ${name}`, () => {
    const faults = found();
    if (faults.length > 0) throw new Error(`${faults.join("\n")}\n\n${fix}`);
  });
}

rule(
  "imports of the server point down the list of its folders",
  () => serverOrder(imports),
  "Move what both need to the lower folder, or pass it in from above. The list is SERVER_ROOMS in tests/tidy/rooms.ts.",
);

rule(
  "the bridge uses the server's public face, and the server nothing of the bridge",
  () => bridgeAndServer(imports),
  "Use server/mod.ts, server/protocol or server/transport. A rule that both ends share belongs in server/protocol.",
);

rule(
  "the formats use no other folder of the bridge",
  () => formatsAlone(imports),
  "What describes bytes stays in bridge/formats; what makes or uses them goes to the folder that does.",
);

rule(
  "the core and its applications use nothing outside of client-as",
  () => coreAlone(imports),
  "They are compiled to one small module: a number that a host needs as well is defined in client-as, and imported by the host.",
);

rule(
  "Python for boards needs nothing that a board does not have",
  () => pythonAlone(tree),
  "Do without it, or import it in a file that is not copied to boards. The lists are in tests/tidy/python.ts.",
);

rule(
  "tests change nothing that others in their process share",
  () => processChanges(tree),
  "Run the test with inOwnProcess (tests/support/own_process.ts).",
);

rule(
  "only tests import tests and what tests use",
  () => testsApart(imports),
  "Move what the product needs out of tests/, or the module that is for tests only into it.",
);

rule(
  "no module imports itself through others",
  () => importCircles(imports, KNOTS),
  "Move what two modules need of each other into a third, pass it in, or describe in the lower one what it needs. If none of these is possible, list the modules in KNOTS, with the reason.",
);

rule(
  "no C file of a program needs itself through others",
  () => [
    ...cFolders(tree).filter((folder) => within(folder, "bridge")).flatMap((folder) =>
      callCircles(tree, folder)
    ),
    ...includeCircles(tree),
  ],
  "Split the file into what is called and what calls, or have the upper one register a function with the lower.",
);

rule(
  `no file of code has more than ${MOST_LINES} lines without a reason`,
  () => tooLong(tree),
  "Split it where it is two things. If it is one, say why in the comment at its head: `Long because …`.",
);

rule(
  "a reserved name has one meaning",
  () => doubleMeanings(tree),
  "Call it what it is. The list of names is in tests/tidy/names.ts; change it only together with the meaning.",
);

rule(
  "a README names every folder with code",
  () => unmapped(tree),
  "Name it in the README of a folder above it, and say what is in it, or give it a README of its own.",
);

rule(
  "links in the documentation have a target",
  () => deadLinks(tree),
  "The file was moved, or never existed: correct the link.",
);

rule(
  "links in the documentation lead to a part of the page that it has",
  () => deadAnchors(tree),
  "The heading was changed, or moved to another page: correct the link.",
);

rule(
  "files that the documentation names exist",
  () => goneFiles(tree),
  "The file was renamed, or its tests were moved to another one: name that file.",
);

rule(
  "the core's registers are numbered once",
  () => registersAgain(tree),
  "Import the number from client-as/assembly/registers.ts.",
);
