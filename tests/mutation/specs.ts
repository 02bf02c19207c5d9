/**
 * The core's specs. They are compiled together with it, which is slow, so they run last, for mutants that have survived
 * everything else.
 *
 * @module
 */
import { bounded, CORE } from "./core_mutants.ts";
import { copy } from "./tree.ts";

/** What as-pect needs from the tree. */
const NEEDED = ["client-as", "deno.json"];

/** Specs of modules for applications, which do not contain the core. */
const OF_APPLICATIONS = /^app_/;

/** Specs that take longer than this, in ms, do not end. */
const LONGEST = 600_000;

/** A place where specs are run with a changed core. */
export class Specs {
  #folder: string | undefined;

  /** @param tree The source. What is needed is copied from it. */
  constructor(readonly tree: string, readonly stop: AbortSignal) {}

  /** Whether all of them pass with this core. */
  async pass(core: string): Promise<boolean> {
    const folder = this.#folder ??= await this.#prepare();
    await Deno.writeTextFile(`${folder}/${CORE}`, bounded(core));
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-lock", "client-as/spec.ts"],
      cwd: folder,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      signal: AbortSignal.any([this.stop, AbortSignal.timeout(LONGEST)]),
    }).output();
    return success;
  }

  async #prepare(): Promise<string> {
    const folder = await Deno.makeTempDir({ dir: this.tree, prefix: "specs-" });
    const from = new URL(`file://${this.tree}/`);
    for (const name of NEEDED) await copy(name, folder, from);
    await Deno.symlink(`${this.tree}/node_modules`, `${folder}/node_modules`);
    const specs = `${folder}/client-as/assembly/__tests__`;
    for await (const { name } of Deno.readDir(specs)) {
      if (OF_APPLICATIONS.test(name)) await Deno.remove(`${specs}/${name}`);
    }
    return folder;
  }
}
