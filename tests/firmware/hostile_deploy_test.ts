/** How a chip handles messages for its firmware, and applications, that our server would never send. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import type { Emulator } from "../../bridge/esp8266/emulator/emulator.ts";
import { compile } from "../support/compile.ts";
import { type RawPeer, RawServer } from "../support/raw.ts";
import { until } from "../support/wait.ts";
import { keptOf } from "./deploying.ts";
import { application, chipTest, line, plugIn } from "./support.ts";

/** A server that sends what the test wants, in dialect 2 without keys. */
class Talker {
  readonly #heard: string[] = [];
  #sent = 0;
  #read = 0;

  private constructor(readonly peer: RawPeer, readonly board: Emulator) {}

  static async meet(server: RawServer, board: Emulator, connection = 0): Promise<Talker> {
    const peer = await server.peer(connection);
    const hello = await until(() => {
      const end = peer.heard.indexOf("\n");
      return end < 0 ? undefined : peer.heard.slice(0, end);
    }, { what: "a hello" });
    const word = (at: number) => hello.slice(3 + at * 8, 11 + at * 8);
    const epoch = `0000000${connection + 1}`; // a new stream for each connection
    const words = [epoch, "00000000", word(0), word(1), "00000040", "00010000", "00000200"];
    await peer.say(`\x0200${words.join("")}${"0".repeat(32)}\n`);
    return new Talker(peer, board);
  }

  /** Sends a text as a message. */
  async say(text: string): Promise<void> {
    const id = (this.#sent++ & 255).toString(16).padStart(2, "0");
    await this.peer.say(`${id}${text}\n`);
  }

  /** Takes and acknowledges the firmware's answers since the last call. */
  async #take(): Promise<string | undefined> {
    const lines = this.peer.heard.split("\n").slice(0, -1);
    for (; this.#read < lines.length; this.#read++) {
      const text = lines[this.#read]!;
      if (text.length <= 2 || text.startsWith("\x01")) continue;
      await this.peer.say(`${text.slice(0, 2)}\n`);
      if (text[2] === "\x02") this.#heard.push(text.slice(2));
    }
    return this.#heard.shift();
  }

  /** The firmware's next message. */
  hear(): Promise<string> {
    return until(() => (this.board.check(), this.#take()), {
      what: () => `an answer:\n  ${this.board.lines.slice(-5).join("\n  ")}`,
    });
  }

  /** Sends a whole application. Returns what comes after the answer to the offer. */
  async give(wasm: Uint8Array, { hash = hashOf(wasm), name = "x" } = {}): Promise<string> {
    await this.say(`\x02o ${hash} ${wasm.length} 9 2 ${name}`);
    assertStringIncludes(await this.hear(), `\x02o ${hash.slice(0, 8)} `);
    for (let at = 0; at < wasm.length; at += 300) {
      const data = wasm.slice(at, at + 300).toBase64({ alphabet: "base64url", omitPadding: true });
      await this.say(`\x02p ${at} ${data}`);
    }
    await this.say(`\x02g ${hash.slice(0, 8)}`);
    return await this.hear();
  }
}

function hashOf(wasm: Uint8Array): string {
  return createHash("sha256").update(wasm).digest("base64url");
}

/** A chip that has a link with such a server. */
async function scene() {
  const stack = new AsyncDisposableStack();
  const server = stack.use(new RawServer());
  const board = stack.use(
    await plugIn({
      application: application("main"),
      port: server.port,
      id: "roof",
      settings: { timeout: 120_000 },
    }),
  );
  const talker = await Talker.meet(server, board);
  return { server, board, talker, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const HASH = hashOf(new Uint8Array(1));

const MALFORMED = [
  "",
  "q",
  "o",
  "oo",
  `o ${HASH}`,
  `o ${HASH} 100 1 0`,
  `o ${HASH.slice(1)} 100 1 0 x`,
  `o ${HASH}A 100 1 0 x`,
  `o ${HASH.slice(1)}= 100 1 0 x`,
  `o ${HASH} -1 1 0 x`,
  `o ${HASH} 4294967296 1 0 x`,
  `o ${HASH} 00000000100 1 0 x`,
  `o ${HASH} 100 1 g x`,
  `o ${HASH} 100 1 00 x`,
  `o ${HASH} 100 1 0  x`,
  `o ${HASH} 100 1 0 x `,
  `o ${HASH} 100 1 0 ü`,
  `o ${HASH} 100 1 0 ${"x".repeat(33)}`,
  `o ${HASH} 100 1 0 x ${"A".repeat(22)} more`,
  "i",
  "i ",
  "i x",
  "i -1",
  "i 1 2",
  "i 4294967296",
  "p",
  "p 0",
  "p 0 ",
  "p 3 AAAA",
  "p 0 A",
  "p 0 AAA=",
  "p 0 AAAA AAAA",
  "p 99999999999 AAAA",
  "g",
  "g short",
  "g far.too.long",
  "x ",
  "x y",
  `p 0 ${"A".repeat(500)}!`,
];

chipTest(
  "malformed messages: the chip reports them on its console, and ignores them",
  async () => {
    await using it = await scene();
    const { board, talker } = it;
    for (const text of MALFORMED) await talker.say(`\x02${text}`);
    const said = () => board.lines.filter((line) => line === "holdfast: deploy malformed").length;
    await until(() => said() === MALFORMED.length, {
      what: () => `${MALFORMED.length} lines: ${board.lines.slice(-40).join("\n")}`,
    });
    // The link still works, and later messages are understood.
    for (const [size, why] of [[0, "size"], [20_385, "size"], [4_294_967_295, "size"]] as const) {
      await talker.say(`\x02o ${HASH} ${size} 9 0 x`);
      assertEquals(await talker.hear(), `\x02n ${HASH.slice(0, 8)} ${why}`);
    }
    // A missing import is refused by its number before anything is stored or erased.
    const before = board.flash.slice();
    for (const [needs, lacks] of [[2 ** 20, 20], [2 ** 32 - 1, 20], [2 ** 31, 31]]) {
      await talker.say(`\x02i ${needs}`);
      await talker.say(`\x02o ${HASH} 100 9 4 x`);
      assertEquals(await talker.hear(), `\x02n ${HASH.slice(0, 8)} import ${lacks}`);
    }
    assertEquals(board.flash, before);
    await talker.say("\x02p 0 AAAA"); // without an offer: reported once
    await talker.say("\x02p 4 AAAA");
    assertEquals(await talker.hear(), "\x02n -------- offer");
    await talker.say(`\x02o ${HASH} 100 9 0 x`); // from an older server, which does not send `needs`
    assertEquals(await talker.hear(), `\x02o ${HASH.slice(0, 8)} 0`);
    await talker.say("\x02p 0 AAAAAAA"); // 5 bytes, and not the last piece
    await talker.say("\x02p 96 AAAAAAAA"); // beyond the end, and not the expected offset
    await talker.say("\x02p 4 AAAAAAAAAAAAAAAA");
    assertEquals(await talker.hear(), `\x02n ${HASH.slice(0, 8)} gap`);
    await talker.say("\x02x");
    await talker.say(`\x02g ${HASH.slice(0, 8)}`);
    assertEquals(await talker.hear(), "\x02n -------- offer");
    assertEquals(board.boots, 1);
  },
);

chipTest(
  "invalid applications are refused with a reason, or the previous one comes back",
  async () => {
    const main = application("main").wasm;
    const foreign = await compile(`
    export * from "../assembly/core";
    @external("board", "fly") declare function fly(height: i32): void;
    export function onTick(): void { fly(3); }`);
    const wide = await compile(`
    export * from "../assembly/core";
    let sum: i64 = 1;
    export function onTick(): void { sum += sum; }`);
    // Compiling blocks everything, so it comes first.
    await using it = await scene();
    const { server, board, talker } = it;
    const cases: [wasm: Uint8Array, says: string][] = [
      [new TextEncoder().encode("<html>no application</html>"), "module"],
      [main.slice(0, 3000), "module"],
      [Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), "module"],
      [
        Uint8Array.of(...main.slice(0, 8), 7, 0xff, 0xff, 0xff, 0xff, 0x0f, ...main.slice(8)),
        "module",
      ],
      [foreign, "import board.fly"],
    ];
    for (const [wasm, says] of cases) {
      assertEquals(await talker.give(wasm), `\x02n ${hashOf(wasm).slice(0, 8)} ${says}`);
    }
    const other = hashOf(foreign.slice(1));
    assertEquals(await talker.give(main, { hash: other }), `\x02n ${other.slice(0, 8)} hash`);
    assertEquals(board.boots, 1);
    // Well-formed, but with something that the interpreter does not know.
    assertEquals(await talker.give(wide), `\x02g ${hashOf(wide).slice(0, 8)}`);
    await line(board, "application fell back reason=load");
    const again = await Talker.meet(server, board, 1);
    assertStringIncludes(again.peer.heard, "reset=rollback ");
    await again.say(`\x02o ${hashOf(wide)} ${wide.length} 9 0 x`);
    assertEquals(await again.hear(), `\x02r ${hashOf(wide).slice(0, 8)} load`);
    assertEquals(await again.hear(), `\x02n ${hashOf(wide).slice(0, 8)} failed`);
    assertEquals(keptOf(board)!.wasm, main);
  },
);
