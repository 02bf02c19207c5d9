/**
 * The licences and notices of the other software in a firmware. The SDK's are read from the user's copy of the SDK:
 * nothing of it is here.
 *
 * @module
 */
import { BuildError } from "./errors.ts";

/** wasm3's licence, which the npm package with its sources lacks. */
const WASM3 = `wasm3 0.5.0, changed: the interpreter in the firmware

MIT License

Copyright (c) 2019 Steven Massey, Volodymyr Shymanskyy

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`;

const WASM2C = `wabt: wasm2c, whose output is part of a firmware with its application in it

Copyright 2016-2023 WebAssembly Community Group participants

Licensed under the Apache License, Version 2.0: its text stands at esptool-js.
`;

const LIBGCC = `libgcc, of the GNU Compiler Collection: functions that the compiler calls

Copyright (C) Free Software Foundation, Inc.

GNU General Public License, version 3 or later, with the GCC Runtime Library Exception, which permits to pass on
what the compiler has made under terms of one's choice: https://www.gnu.org/licenses/gcc-exception-3.1.html
`;

const ASSEMBLYSCRIPT = `AssemblyScript: its runtime in the core and in the applications

Copyright 2020 Daniel Wirtz / The AssemblyScript Authors

Licensed under the Apache License, Version 2.0: its text stands at esptool-js.
`;

/** Debian's file with the notices of the C library that is linked for the emulator. */
const PICOLIBC = "/usr/share/doc/picolibc-xtensa-lx106-elf/copyright";

/**
 * The texts for a board's firmware.
 *
 * @throws {BuildError} if the SDK has no licence file: then nothing of it may be published
 */
export function firmwareLicences(board: string, sdk: string | undefined): string[] {
  const own = board === "nonos" ? sdkLicences(sdk!) : [picolibc()];
  return [...own, WASM3, WASM2C, ASSEMBLYSCRIPT, LIBGCC];
}

function picolibc(): string {
  let text;
  try {
    text = Deno.readTextFileSync(PICOLIBC);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    text = `Its notices are in Debian's package picolibc-xtensa-lx106-elf (${PICOLIBC}).\n`;
  }
  return `picolibc: the C library of the emulator's firmware\n\n${text}`;
}

function sdkLicences(sdk: string): string[] {
  let bytes;
  try {
    bytes = Deno.readFileSync(`${sdk}/License`);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new BuildError(
      `${sdk} has no file License: a release must include the SDK's licence, so it cannot be built`,
      { cause },
    );
  }
  // The text is in English and in Chinese, in GB 18030.
  const licence =
    `ESP8266_NONOS_SDK, of Espressif Systems: its libraries are part of the firmware\n\n${
      new TextDecoder("gb18030").decode(bytes).trim()
    }\n`;
  const notices = lwipNotices(`${sdk}/third_party`);
  if (notices.length === 0) return [licence];
  return [
    licence,
    `lwIP, as it comes with that SDK: the notices in its files\n\n${notices.join("\n\n")}\n`,
  ];
}

/** The copyright comments in lwIP's files, without duplicates. */
function lwipNotices(folder: string): string[] {
  const found = new Map<string, string>();
  for (const place of ["lwip", "include/lwip", "include/netif", "include/arch"]) {
    for (const file of sourcesIn(`${folder}/${place}`)) {
      const head = new TextDecoder("windows-1252").decode(Deno.readFileSync(file)).slice(0, 6000);
      for (const [, comment] of head.matchAll(/\/\*([\s\S]*?)\*\//g)) {
        if (!/copyright/i.test(comment!) || comment!.length < 300) continue;
        const text = comment!.split(/\r?\n/).map((line) => line.replace(/^[\s*-]*/, "").trimEnd())
          .join("\n").trim();
        found.set(text.replace(/\s+/g, " "), text);
      }
    }
  }
  return [...found.values()].sort();
}

function sourcesIn(folder: string): string[] {
  let entries;
  try {
    entries = [...Deno.readDirSync(folder)];
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return [];
  }
  return entries.flatMap(({ name, isDirectory }) => {
    if (isDirectory) return sourcesIn(`${folder}/${name}`);
    return /\.[ch]$/.test(name) ? [`${folder}/${name}`] : [];
  }).sort();
}
