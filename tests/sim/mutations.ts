/**
 * Known bugs, to prove that the checker finds them. Each is switched on by itself, here and nowhere else: by
 * replacing methods of the server or of the simulated host, or by changing the core's source before it
 * is compiled.
 */
import { CORE_BUGS, type CorePatch } from "./core_bugs.ts";
import type { Undo } from "./patch.ts";
import { DIALECT1_BUGS, GREETING_BUGS, PROGRAM_BUGS } from "./server_bugs.ts";
import { MEMORY_BUGS } from "./memory_bugs.ts";

export interface Mutation {
  name: string;
  /** Replaces what the bug needs. */
  apply?: () => Undo;
  /** Changes the core. */
  core?: CorePatch;
}

export const MUTATIONS: readonly Mutation[] = [
  ...Object.entries({ ...DIALECT1_BUGS, ...PROGRAM_BUGS, ...GREETING_BUGS, ...MEMORY_BUGS })
    .map(([name, apply]) => ({ name, apply })),
  ...Object.entries(CORE_BUGS).map(([name, core]) => ({ name, core })),
];
