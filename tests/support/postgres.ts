/**
 * A real PostgreSQL server in a folder of its own, which can be stopped, killed and started again.
 *
 * @module
 */
import { assert } from "@std/assert";
import { locate, type Tools, toolTest } from "./tools.ts";
import { until } from "./wait.ts";

/** Debian's, and the package that has it. */
const PROGRAM = "/usr/lib/postgresql/15/bin/postgres";

export const POSTGRES = { [PROGRAM]: "postgresql" } as const;

/** It does not run as root: Debian's package has made this user. */
const USER = "postgres";

const decoder = new TextDecoder();

export class Postgres implements AsyncDisposable {
  readonly port: number;
  /** Where its data are, its socket and its log. */
  readonly folder: string;
  readonly #bin: string;
  #child: Deno.ChildProcess | undefined;
  #schemas = 0;

  private constructor(bin: string, folder: string, port: number) {
    this.#bin = bin;
    this.folder = folder;
    this.port = port;
  }

  /**
   * @param tools Of `POSTGRES`.
   * @param settings More lines for postgresql.conf.
   */
  static async start(
    tools: Tools<keyof typeof POSTGRES>,
    settings: readonly string[] = [],
    folder = Deno.makeTempDirSync({ prefix: "holdfast_pg_" }),
  ): Promise<Postgres> {
    const bin = tools[PROGRAM].slice(0, PROGRAM.lastIndexOf("/"));
    if (Deno.uid() === 0) run("chown", USER, folder);
    // It cannot choose a port by itself.
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    const server = new Postgres(bin, folder, port);
    const [program, ...args] = server.#asUser("initdb", "-D", `${folder}/data`)
      .concat("-U", USER, "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync");
    run(program!, ...args);
    const lines = [
      `port = ${port}`,
      "listen_addresses = '127.0.0.1'",
      `unix_socket_directories = '${folder}'`,
      "fsync = off", // a killed process loses nothing by it, only a machine does
      "max_connections = 50",
      "log_line_prefix = '%p '",
      // A pipe would have to be read, in tests that do not know of it.
      "logging_collector = on",
      `log_directory = '${folder}'`,
      "log_filename = 'log'",
      "log_rotation_age = 0",
      ...settings,
    ];
    Deno.writeTextFileSync(`${folder}/data/postgresql.conf`, lines.join("\n") + "\n", {
      append: true,
    });
    await server.start();
    return server;
  }

  /** A command of its, for a user that it takes. */
  #asUser(program: string, ...args: string[]): string[] {
    const command = [`${this.#bin}/${program}`, ...args];
    if (Deno.uid() !== 0) return command;
    return ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--init-groups", ...command];
  }

  /** What it has logged. */
  get log(): string {
    try {
      return Deno.readTextFileSync(`${this.folder}/log`);
    } catch {
      return ""; // it has not come to that yet
    }
  }

  /** Its process. */
  get pid(): number {
    return this.#child!.pid;
  }

  /** Starts it, again perhaps. */
  async start(): Promise<void> {
    const [program, ...args] = this.#asUser("postgres", "-D", `${this.folder}/data`);
    const from = this.log.length;
    this.#child = new Deno.Command(program!, {
      args,
      cwd: this.folder,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const runs = () => this.log.slice(from).includes("database system is ready to accept");
    await until(runs, { what: () => `PostgreSQL to run: ${this.log.slice(from)}` });
  }

  /** Stops it: "immediate" as a crash does, "fast" in good order. */
  async stop(mode: "immediate" | "fast" = "immediate"): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = undefined;
    child.kill(mode === "immediate" ? "SIGQUIT" : "SIGINT");
    await child.status;
  }

  /** @param schema In which tables are made and looked for. */
  url(schema: string, { port = this.port, user = USER }: { port?: number; user?: string } = {}) {
    return `postgres://${user}@127.0.0.1:${port}/postgres?options=-csearch_path%3D${schema}`;
  }

  /** A new schema. */
  schema(): string {
    const name = `s${++this.#schemas}`;
    this.sql(`CREATE SCHEMA ${name}`);
    return name;
  }

  /** Executes statements as psql does, at once. @returns rows, with | between the columns */
  sql(sql: string, schema = "public"): string {
    const args = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", this.folder, "-p"]
      .concat(`${this.port}`, "-U", USER, "-d", "postgres", "-c", sql);
    return run("env", `PGOPTIONS=-csearch_path=${schema}`, "psql", ...args).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

function run(program: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(program, { args, cwd: "/tmp" }).outputSync();
  assert(success, `${program} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/**
 * Registers tests of one file that share a server.
 *
 * @param about For who has none: what is not tested.
 * @param register Registers them; the server runs while they do.
 */
export function withPostgres(
  about: string,
  register: (server: () => Postgres) => void,
  settings: readonly string[] = [],
): void {
  const { paths, missing } = locate(POSTGRES);
  if (missing.length > 0) return toolTest(about, POSTGRES, () => {});
  let server: Postgres | undefined;
  Deno.test.beforeAll(async () => {
    server = await Postgres.start(paths as Tools<keyof typeof POSTGRES>, settings);
  });
  Deno.test.afterAll(() => server?.[Symbol.asyncDispose]());
  register(() => server!);
}
