/** Prompts for an existing key, so that neither the shell's history nor the screen keeps it. */
import { LocalError } from "../protocol/errors.ts";
import { printable } from "../observe/log.ts";

/** Most bytes that are read; a key has 64 digits. */
const LONGEST = 1024;

const CTRL_C = 3, CTRL_D = 4, BACKSPACE = 8, NEWLINE = 10, RETURN = 13, DELETE = 127;

/**
 * Reads the first line of stdin. A terminal shows a prompt, and not what is typed.
 *
 * @throws {LocalError} BAD_ARGUMENT: there is none, or the user gave up
 */
export function askForKey(id: string): Promise<string> {
  const question = `The key of ${printable(id)}: paste it, and press Enter. It is not shown.`;
  return askFor("key", question);
}

/** The same for any secret. @param what Its name, one word. */
export async function askFor(what: string, question: string): Promise<string> {
  const { stdin } = Deno;
  if (!stdin.isTerminal()) return await readLine(what);
  // Before the prompt, so that what is typed ahead is not shown, either.
  stdin.setRaw(true);
  try {
    console.error(question);
    return await readLine(what);
  } finally {
    stdin.setRaw(false);
  }
}

/** Strips what surrounds the key: spaces, and the marks that some terminals put around pasted text. */
async function readLine(what: string): Promise<string> {
  const line: number[] = [];
  const chunk = new Uint8Array(256);
  reading: for (;;) {
    const length = await Deno.stdin.read(chunk);
    if (length === null) break;
    for (const byte of chunk.subarray(0, length)) {
      if (byte === NEWLINE || byte === RETURN) break reading;
      if (byte === CTRL_C || byte === CTRL_D) throw noKey("given up");
      if (byte === BACKSPACE || byte === DELETE) line.pop();
      else line.push(byte);
      if (line.length > LONGEST) throw noKey(`the text on stdin is too long for a ${what}`);
    }
  }
  let text = new TextDecoder().decode(Uint8Array.from(line));
  for (const mark of ["\x1b[200~", "\x1b[201~"]) text = text.replaceAll(mark, "");
  if (text.trim() === "") throw noKey(`no ${what} came on stdin`);
  return text.trim();
}

function noKey(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
