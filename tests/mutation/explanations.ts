/** Changes that no test finds, with the reason why none should: `survivors.txt`. */
import type { Mutant } from "./tree.ts";

/** How many characters of a change are shown. */
const SHOWN = 70;

/** Describes a change on one line. */
export function describeChange({ before, after }: Pick<Mutant, "before" | "after">): string {
  return `${brief(before)} -> ${brief(after)}`;
}

function brief(code: string): string {
  const text = flat(code);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

function flat(code: string): string {
  return code.trim().replaceAll(/\s+/g, " ");
}

/** A change, and why it may survive. */
export interface Explanation {
  file: string;
  /** As described by `describeChange`, wherever in the file it is. */
  change: string;
  why: string;
}

/** All written explanations. */
export class Explanations {
  readonly #of = new Map<string, Explanation>();

  /**
   * @param text Paths of files; under each, reasons; under each of these, indented, the changes that it explains. Lines
   * that begin with # are left out.
   * @throws {Error} if it is something else, or explains a change twice
   */
  constructor(text: string) {
    let file: string | undefined;
    let why = "";
    let isOpen = false; // the reason may continue
    for (const line of text.split("\n")) {
      if (line.startsWith("#") || line.trim() === "") continue;
      if (/^(server|bridge|client-as)\/\S+\.ts$/.test(line)) {
        [file, why, isOpen] = [line, "", false];
      } else if (!line.startsWith(" ")) {
        why = isOpen ? `${why} ${line}` : line;
        isOpen = true;
      } else {
        if (file === undefined || why === "") throw new Error(`no file or reason: ${line.trim()}`);
        this.#add({ file, change: line.trim(), why });
        isOpen = false;
      }
    }
  }

  static async read(): Promise<Explanations> {
    return new Explanations(await Deno.readTextFile(new URL("survivors.txt", import.meta.url)));
  }

  #add(explanation: Explanation): void {
    const key = keyOf(explanation.file, explanation.change);
    if (!explanation.change.includes(" -> ")) {
      throw new Error(`${explanation.file}: ${explanation.change} is not a change`);
    }
    if (this.#of.has(key)) {
      throw new Error(`${explanation.file}: ${explanation.change} is explained twice`);
    }
    this.#of.set(key, explanation);
  }

  [Symbol.iterator](): IterableIterator<Explanation> {
    return this.#of.values();
  }

  /** Why this change may survive; undefined: not explained. */
  of(mutant: Pick<Mutant, "file" | "before" | "after">): string | undefined {
    return this.#of.get(keyOf(mutant.file, describeChange(mutant)))?.why;
  }
}

/** Whether a file contains the code that an explanation is about. */
export function isOf(source: string, { change }: Explanation): boolean {
  const before = change.slice(0, change.indexOf(" -> ")).replace(/…$/, "");
  return flat(source).includes(before);
}

function keyOf(file: string, change: string): string {
  return JSON.stringify([file, change]);
}
