/** Bugs of the server's end of the link: lines, greeting, both dialects. */
import { type Bugs, edit } from "./bug.ts";

const ADMISSION = "server/admission/admission.ts";
const DIALECT2 = "server/link/dialect2.ts";
const DUPLICATES = "server/link/duplicates.ts";
const LINES = "server/protocol/lines.ts";
const OUTBOX = "server/link/outbox.ts";
const SESSION = "server/link/session.ts";

/** How dialect 1 recognises repeats. */
const DIALECT1_BUGS: Bugs = {
  "the first message after a boot is new each time it comes": edit(
    DUPLICATES,
    "return newer < (id === 0 ? 1 : REACH_BACK);",
    "return id !== 0 && newer < REACH_BACK;",
  ),
  "ids alone tell repeats": edit(
    DUPLICATES,
    "if (heard?.[id * FIELDS] !== hashed) return false;",
    "if (heard === undefined || Number.isNaN(heard[id * FIELDS]) || hashed < 0) return false;",
  ),
  "repeats are forgotten after two messages": [
    ...edit(DUPLICATES, "const REACH = 223;", "const REACH = 2;"),
    ...edit(DUPLICATES, "const REACH_BACK = 64;", "const REACH_BACK = 2;"),
  ],
};

const LINE_BUGS: Bugs = {
  "a newline at the start of a segment is a keepalive": edit(
    LINES,
    "push(chunk: Uint8Array): Lines {",
    "push(chunk: Uint8Array): Lines {\n    if (chunk[0] === 10 && this.held > 0) chunk = chunk.subarray(1);",
  ),
  "half a line of a dead connection is glued to the next one's first": [
    {
      file: LINES,
      find: "/** Cuts a stream of bytes into lines, wherever",
      replace: "let left = NOTHING;\n\n/** Cuts a stream of bytes into lines, wherever",
    },
    { file: LINES, find: "#rest = NOTHING;", replace: "#rest = left;" },
    {
      file: LINES,
      find: "    return result;\n  }\n}",
      replace: "    left = this.#rest;\n    return result;\n  }\n}",
    },
  ],
  "a character cut by a segment ends the program": edit(
    LINES,
    "push(chunk: Uint8Array): Lines {",
    'push(chunk: Uint8Array): Lines {\n    if ((chunk.at(-1) ?? 0) >= 0xc0) throw new TypeError("cut");',
  ),
  "a line without an id ends the program": edit(
    SESSION,
    'return new PeerError("BAD_LINE", message, advice === undefined ? {} : { advice });',
    "throw new TypeError(message);",
  ),
  "a bad byte in an id ends the program": edit(
    ADMISSION,
    'throw new PeerError("BAD_HELLO", "the hello is not UTF-8", { cause });',
    "throw cause;",
  ),
};

const GREETING_BUGS: Bugs = {
  "a line of the log is given to the application": edit(
    DIALECT2,
    "if (text.startsWith(LOGGED)) this.#owner.logged(text.slice(1));\n    else if",
    "if",
  ),
  "a line of the log is acknowledged, and not logged": edit(
    DIALECT2,
    "this.#owner.logged(text.slice(1));",
    ";",
  ),
  "what comes together with the greeting is discarded": edit(
    ADMISSION,
    "return this.#held;\n  }",
    "return new Uint8Array(0);\n  }",
  ),
  "a gap is accepted, where messages were discarded": [
    ...edit(ADMISSION, "return this.#held;\n  }", "return new Uint8Array(0);\n  }"),
    ...edit(DIALECT2, "if (id !== (this.#expected & 255)) {", "if (id < 0) {"),
  ],
  "a proof is not checked": edit(
    "server/admission/access.ts",
    "if (a.length === b.length && timingSafeEqual(a, b)) return;",
    "if (a.length > 0 || timingSafeEqual(a, b)) return;",
  ),
  "a hello alone takes the connection": edit(
    ADMISSION,
    "if (!key) return { output: `${welcome}\\n` };",
    "if (!key) return { output: `${welcome}\\n`, admitted: this.#welcomed };",
  ),
  "a greeting that is out of date is taken": edit(
    ADMISSION,
    "record.positions.connects !== connects || now.renamed !== renamed ||",
    "now.renamed !== renamed ||",
  ),
  "the window is off by one": edit(
    DIALECT2,
    "this.next < this.hello.window",
    "this.next <= this.hello.window",
  ),
  "the device's credit in bytes is ignored": edit(
    DIALECT2,
    "if (this.#bytesOnTheWay + bytes > this.hello.bytes) break;",
    "",
  ),
  "what the device has no room for is sent": edit(
    OUTBOX,
    "if (byteLength(message.text) > lineBytes) {",
    "if (lineBytes < 0) {",
  ),
  "a full outbox takes more": edit(
    OUTBOX,
    "if (outbox.length >= limits.outbox ||",
    "if (outbox.length > limits.outbox ||",
  ),
  "a full inbox takes more": edit(
    SESSION,
    "if (inbox.length >= limits.inbox ||",
    "if (inbox.length > limits.inbox ||",
  ),
  "what waits for room in the inbox outlives its connection": edit(
    SESSION,
    "    this.#backlog = [];\n    for (const message",
    "    for (const message",
  ),
};

export const WIRE_BUGS: Bugs = { ...DIALECT1_BUGS, ...LINE_BUGS, ...GREETING_BUGS };
