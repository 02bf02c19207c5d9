/**
 * A task of the command line whose one argument is a folder.
 *
 * @module
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";

/** A task: its name, its help text, and what it does. */
export interface FolderTask {
  /** As in `deno task NAME`. */
  name: string;
  help: string;
  /** The folder, if none is given. Without this one must be given. */
  otherwise?: string;
  /** @param folder Its path. @returns what is printed */
  run(folder: string): Promise<string>;
}

/** Runs a task. @returns the exit code: 0, 1 if it failed, or 2 for wrong arguments */
export async function folderTask(task: FolderTask, args: string[]): Promise<number> {
  const { name, help } = task;
  let folder: string | undefined;
  try {
    const { values, positionals } = parseArgs({
      args,
      options: { help: { type: "boolean" } },
      allowPositionals: true,
    });
    if (values.help) return console.log(help), 0;
    folder = positionals[0] ?? task.otherwise;
    if (folder === undefined || positionals.length > 1) throw new Error("give one folder");
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}\n\n${help}`);
    return 2;
  }
  try {
    // A task runs in the project's folder, wherever it was called.
    console.log(await task.run(resolve(Deno.env.get("INIT_CWD") ?? Deno.cwd(), folder)));
    return 0;
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}`);
    return 1;
  }
}
