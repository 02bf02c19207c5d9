/**
 * A real PostgreSQL server in a folder of its own, which can be stopped, killed and restarted.
 *
 * @module
 */
import { assert } from "@std/assert";
import { parseConnInfo } from "../../server/store/postgres/conninfo.ts";
import { Wire } from "../../server/store/postgres/wire.ts";
import { locate, type Tools, toolTest } from "./tools.ts";
import { until } from "./wait.ts";

/** Debian's program, and its package. */
const PROGRAM = "/usr/lib/postgresql/15/bin/postgres";

export const POSTGRES = { [PROGRAM]: "postgresql" } as const;

/** It does not run as root; Debian's package creates this user. */
const USER = "postgres";

const decoder = new TextDecoder();

export class Postgres implements AsyncDisposable {
  #port = freePort();
  /** The folder of its data, socket and log. */
  readonly folder: string;
  readonly #bin: string;
  #runs = false;
  #hasRun = false;
  #schemas = 0;

  private constructor(bin: string, folder: string) {
    this.#bin = bin;
    this.folder = folder;
  }

  get port(): number {
    return this.#port;
  }

  /**
   * @param tools Paths of `POSTGRES`. @param settings More lines for postgresql.conf.
   */
  static async start(
    tools: Tools<keyof typeof POSTGRES>,
    settings: readonly string[] = [],
  ): Promise<Postgres> {
    const server = Postgres.#new(tools[PROGRAM].slice(0, PROGRAM.lastIndexOf("/")));
    server.#run("initdb", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync");
    server.#configure([
      "listen_addresses = '127.0.0.1'",
      "fsync = off", // only a machine's crash would lose something by it, not a killed process
      "max_connections = 50",
      "log_line_prefix = '%p '",
      // A pipe would have to be read, also in tests that know nothing of it.
      "logging_collector = on",
      "log_filename = 'log'",
      "log_rotation_age = 0",
      ...settings,
    ]);
    await server.start();
    return server;
  }

  static #new(bin: string): Postgres {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_pg_" });
    const server = new Postgres(bin, folder);
    server.own(folder);
    return server;
  }

  /** A standby server that replicates this one, to replace it. */
  async standby(): Promise<Postgres> {
    const other = Postgres.#new(this.#bin);
    const from = ["-h", this.folder, "-p", `${this.port}`, "-U", USER];
    other.#run("pg_basebackup", ...from, "-R", "-c", "fast", "--no-sync");
    other.#configure(["listen_addresses = '127.0.0.1'"]);
    await other.start();
    return other;
  }

  #configure(lines: readonly string[]): void {
    const own = [`port = ${this.port}`, `unix_socket_directories = '${this.folder}'`]
      .concat(`log_directory = '${this.folder}'`);
    const path = `${this.folder}/data/postgresql.conf`;
    Deno.writeTextFileSync(path, [...lines, ...own, ""].join("\n"), { append: true });
  }

  /** Makes it the owner of a file or folder. */
  own(path: string): void {
    if (Deno.uid() === 0) run("chown", USER, path);
  }

  /** Runs one of its programs on its data. */
  #run(name: string, ...args: string[]): void {
    const [program, ...rest] = this.#asUser(name, "-D", `${this.folder}/data`, ...args);
    run(program!, ...rest);
  }

  /** A command line for its user. */
  #asUser(program: string, ...args: string[]): string[] {
    const command = [`${this.#bin}/${program}`, ...args];
    if (Deno.uid() !== 0) return command;
    return ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--init-groups", ...command];
  }

  /** Its log. */
  get log(): string {
    try {
      return Deno.readTextFileSync(`${this.folder}/log`);
    } catch {
      return ""; // there is none yet
    }
  }

  /** Its first process. */
  get pid(): number {
    return parseInt(Deno.readTextFileSync(`${this.folder}/data/postmaster.pid`));
  }

  /** Starts or restarts it, and waits until it accepts connections. */
  async start(): Promise<void> {
    try {
      await this.#control("start", "-l", `${this.folder}/started`);
    } catch (error) {
      // Before its first run nobody depends on its port, which another program may have taken meanwhile.
      if (this.#hasRun || !this.log.includes("Address already in use")) throw error;
      this.#port = freePort();
      this.#configure([]);
      Deno.removeSync(`${this.folder}/log`);
      return await this.start();
    }
    this.#runs = this.#hasRun = true;
  }

  /** Stops it: "immediate" like a crash, "fast" cleanly. */
  async stop(mode: "immediate" | "fast" = "immediate"): Promise<void> {
    if (!this.#runs) return;
    this.#runs = false;
    await this.#control("stop", "-m", mode);
  }

  /** Kills one of its processes that serve a connection, so that it ends all of them, and waits until it accepts
   * connections again. */
  async killBackend(pid: number): Promise<void> {
    const starts = () => this.log.split("ready to accept connections").length;
    const before = starts();
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      return; // it has ended
    }
    await until(() => starts() > before, { what: () => `PostgreSQL to recover: ${this.log}` });
  }

  /** Runs pg_ctl, so that the server is not a child of this process: sanitizers would require a child to end in the test
   * that started it. */
  async #control(...words: string[]): Promise<void> {
    const [program, ...args] = this.#asUser("pg_ctl", "-D", `${this.folder}/data`, "-w", ...words);
    const command = new Deno.Command(program!, {
      args,
      cwd: this.folder,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    });
    const { success } = await command.output();
    assert(success, `pg_ctl ${words.join(" ")}: ${this.log}`);
  }

  /** @param schema The schema in which tables are created and found. */
  url(schema: string, { port = this.port, user = USER }: { port?: number; user?: string } = {}) {
    return `postgres://${user}@127.0.0.1:${port}/postgres?options=-csearch_path%3D${schema}`;
  }

  /** A new schema. */
  schema(): string {
    const name = `s${++this.#schemas}`;
    this.sql(`CREATE SCHEMA ${name}`);
    return name;
  }

  /** Executes statements synchronously with psql. @returns rows, with | between the columns */
  sql(sql: string, schema = "public"): string {
    return rowsOf(run("env", ...this.#psql(sql, schema)));
  }

  /**
   * The same, while this process goes on. Tests wait with this: if each look stopped the process, a server in it would
   * hardly get on where psql is slow.
   */
  async query(sql: string, schema = "public"): Promise<string> {
    const args = this.#psql(sql, schema);
    const output = await new Deno.Command("env", { args, cwd: "/tmp" }).output();
    return rowsOf(outputOf(output, "env", args));
  }

  /** Arguments of `env`. */
  #psql(sql: string, schema: string): string[] {
    return [`PGOPTIONS=-csearch_path=${schema}`, "psql"]
      .concat("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", this.folder, "-p")
      .concat(`${this.port}`, "-U", USER, "-d", "postgres", "-c", sql);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

function run(program: string, ...args: string[]): string {
  const output = new Deno.Command(program, { args, cwd: "/tmp" }).outputSync();
  return outputOf(output, program, args);
}

function outputOf(
  { success, stdout, stderr }: Deno.CommandOutput,
  program: string,
  args: readonly string[],
): string {
  assert(success, `${program} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

function rowsOf(printed: string): string {
  return printed.replace(/\n$/, "");
}

/**
 * Opens a session that is not a server's, for example to hold a lock.
 *
 * @param url See `Postgres.url`. @param settings The database's, by name.
 * @param silence How long a statement may wait, in ms.
 */
export function openSession(
  url: string,
  settings: Readonly<Record<string, string | number>> = {},
  silence = 60_000,
): Promise<Wire> {
  return Wire.open(parseConnInfo(url), { settings, silence });
}

/**
 * Registers tests of one file that share a server.
 *
 * @param about What is not tested where PostgreSQL is missing. @param register Registers the tests; the server runs
 * while they do.
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

/** PostgreSQL cannot choose a port by itself. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
