/**
 * Reads the linker's output, an ELF file for the ESP8266's processor: only the parts that an image and the
 * checks of the build need.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";

/** A section that occupies memory on the chip. */
export interface ElfSection {
  name: string;
  /** Its address in the chip's memory. */
  address: number;
  size: number;
  /** Its contents; undefined if it starts as zeros, or uninitialised. */
  bytes: Uint8Array<ArrayBuffer> | undefined;
  executable: boolean;
}

/** A symbol of the file. */
export interface ElfSymbol {
  name: string;
  value: number;
  /** In bytes; 0 if unknown. */
  size: number;
  kind: "function" | "object" | "other";
  /** Used in the file, but defined elsewhere. */
  undefined: boolean;
}

/** A linked program. */
export interface Elf {
  /** Address of its first instruction. */
  entry: number;
  /** Sections that occupy memory, by their addresses. */
  sections: ElfSection[];
  symbols: ElfSymbol[];
}

const MACHINE_XTENSA = 94;
const SYMBOL_TABLE = 2;
const NO_BYTES = 8;
const ALLOCATED = 2;
const EXECUTABLE = 4;

/** Reads a linked program. @throws {LocalError} BAD_ARGUMENT if it is damaged, or not a linked program */
export function readElf(bytes: Uint8Array<ArrayBuffer>): Elf {
  const file = new Reader(bytes);
  if (file.word(0) !== 0x464c457f) throw bad("it does not start with the ELF magic number");
  if (file.byte(4) !== 1 || file.byte(5) !== 1) throw bad("it is not 32-bit little-endian");
  if (file.half(18) !== MACHINE_XTENSA) throw bad("it is not for an Xtensa processor");
  if (file.half(16) !== 2) throw bad("it is not linked");
  const headers = readHeaders(file);
  const names = headers[file.half(50)];
  if (!names) throw bad("it has no section names");
  const sections = headers
    .filter((header) => (header.flags & ALLOCATED) !== 0 && header.size > 0)
    .map((header) => ({
      name: file.text(names, header.name),
      address: header.address,
      size: header.size,
      bytes: header.type === NO_BYTES ? undefined : file.piece(header.offset, header.size),
      executable: (header.flags & EXECUTABLE) !== 0,
    }))
    .sort((a, b) => a.address - b.address);
  return { entry: file.word(24), sections, symbols: readSymbols(file, headers) };
}

interface Header {
  name: number;
  type: number;
  flags: number;
  address: number;
  offset: number;
  size: number;
  link: number;
}

function readHeaders(file: Reader): Header[] {
  const at = file.word(32);
  const entrySize = file.half(46);
  const count = file.half(48);
  if (entrySize !== 40) throw bad(`its section headers have ${entrySize} bytes instead of 40`);
  file.piece(at, count * entrySize);
  return Array.from({ length: count }, (_, i) => {
    const start = at + i * entrySize;
    const word = (n: number) => file.word(start + 4 * n);
    return {
      name: word(0),
      type: word(1),
      flags: word(2),
      address: word(3),
      offset: word(4),
      size: word(5),
      link: word(6),
    };
  });
}

function readSymbols(file: Reader, headers: Header[]): ElfSymbol[] {
  const table = headers.find(({ type }) => type === SYMBOL_TABLE);
  if (!table) return []; // stripped
  const names = headers[table.link];
  if (!names) throw bad("its symbols have no names");
  const symbols: ElfSymbol[] = [];
  for (let at = table.offset + 16; at + 16 <= table.offset + table.size; at += 16) {
    const name = file.text(names, file.word(at));
    const kind = (["other", "object", "function"] as const)[file.byte(at + 12) & 15] ?? "other";
    if (name === "") continue; // a section
    symbols.push({
      name,
      value: file.word(at + 4),
      size: file.word(at + 8),
      kind,
      undefined: file.half(at + 14) === 0,
    });
  }
  return symbols;
}

/** Reads numbers of a file, which may be cut off anywhere. */
class Reader {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  piece(offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (offset + length > this.#bytes.length) throw bad("it is cut off");
    return this.#bytes.subarray(offset, offset + length);
  }

  byte(at: number): number {
    return this.piece(at, 1)[0]!;
  }

  half(at: number): number {
    this.piece(at, 2);
    return this.#view.getUint16(at, true);
  }

  word(at: number): number {
    this.piece(at, 4);
    return this.#view.getUint32(at, true);
  }

  text(names: Header, at: number): string {
    const all = this.piece(names.offset, names.size);
    const end = all.indexOf(0, at);
    if (at >= all.length || end < 0) throw bad("a name is cut off");
    return new TextDecoder("latin1").decode(all.subarray(at, end));
  }
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", `this is not a linked ELF file: ${message}`);
}
