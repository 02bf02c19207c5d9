/** An ELF file for tests, of the given sections and symbols. */
export interface SyntheticElf {
  entry: number;
  sections: {
    name: string;
    address: number;
    bytes?: Uint8Array;
    /** Number of zero bytes, instead of `bytes`; they are not in the file. */
    zeros?: number;
    /** Like debugging information: in the file only. */
    notLoaded?: boolean;
  }[];
  symbols?: { name: string; value: number; size?: number; type?: number; section?: number }[];
}

export function syntheticElf({ entry, sections, symbols = [] }: SyntheticElf) {
  const encoder = new TextEncoder();
  const names: number[] = [0];
  const nameOf = (name: string) => {
    const at = names.length;
    names.push(...encoder.encode(name), 0);
    return at;
  };
  const table: number[] = Array(16).fill(0);
  for (const { name, value, size = 0, type = 0, section = 1 } of symbols) {
    table.push(...word(nameOf(name)), ...word(value), ...word(size), type, 0, section & 255, 0);
  }
  const content: number[] = [];
  const headers: number[] = Array(40).fill(0);
  const add = (
    [name, type, flags, address]: [string, number, number, number],
    bytes: Iterable<number>,
    size = 0,
    link = 0,
  ) => {
    const at = 52 + content.length;
    content.push(...bytes);
    const length = size || 52 + content.length - at;
    const header = [nameOf(name), type, flags, address, at, length, link, 0, 4, 0];
    headers.push(...header.flatMap(word));
  };
  for (const { name, address, bytes = [], zeros, notLoaded } of sections) {
    add([name, zeros ? 8 : 1, notLoaded ? 0 : 2, address], bytes, zeros);
  }
  const namesAt = sections.length + 2;
  add([".symtab", 2, 0, 0], table, 0, namesAt);
  nameOf(".strtab"); // before the names are written
  add([".strtab", 3, 0, 0], names);
  const sectionsAt = 52 + content.length;
  const file = new Uint8Array([
    ...[0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ...half(2),
    ...half(94),
    ...word(1),
    ...word(entry),
    ...word(0),
    ...word(sectionsAt),
    ...word(0),
    ...half(52),
    ...half(32),
    ...half(0),
    ...half(40),
    ...half(headers.length / 40),
    ...half(namesAt),
    ...content,
    ...headers,
  ]);
  return file;
}

function half(value: number): number[] {
  return [value & 255, value >>> 8];
}

function word(value: number): number[] {
  return [value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24];
}
