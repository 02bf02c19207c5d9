/** Address and credentials of a PostgreSQL server, from a URL and the environment, by libpq's conventions. */
import { userInfo } from "node:os";
import { LocalError } from "../../protocol/errors.ts";

/** libpq's `sslmode`; "allow" is treated as "prefer". */
export type SslMode = "disable" | "prefer" | "require" | "verify-ca" | "verify-full";

/** A possible address of the database. */
export interface Host {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
}

/** Everything needed to connect. */
export interface ConnInfo {
  /** Tried in this order, until one accepts writes. */
  readonly hosts: readonly Host[];
  readonly user: string;
  readonly database: string;
  readonly ssl: SslMode;
  /** Files in PEM; "system" as the root: the system's authorities. */
  readonly rootCert: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** Time limit for connecting to one host, in ms. */
  readonly connectTimeout: number;
  readonly applicationName: string;
  /** libpq's `options`: settings of each session. */
  readonly options: string | undefined;
  /** Whether the password is in the URL, where the list of processes may show it. */
  readonly hasPassword: boolean;
  /** The URL without the password, for people. */
  readonly about: string;
  /** The password, looked up each time, as its file may change; undefined: there is none. */
  password(at: Host): string | undefined;
}

/** Variables of the environment, by name. */
export type Env = (name: string) => string | undefined;

const SSL_MODES: Readonly<Record<string, SslMode>> = {
  disable: "disable",
  allow: "prefer",
  prefer: "prefer",
  require: "require",
  "verify-ca": "verify-ca",
  "verify-full": "verify-full",
};

/** Parameters of the URL, and the environment variables that replace them. */
const PARAMETERS = {
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  connect_timeout: "PGCONNECT_TIMEOUT",
  application_name: "PGAPPNAME",
  options: "PGOPTIONS",
  passfile: "PGPASSFILE",
  password: "PGPASSWORD",
  user: "PGUSER",
  dbname: "PGDATABASE",
  host: "PGHOST",
  port: "PGPORT",
  target_session_attrs: "PGTARGETSESSIONATTRS",
} as const;

type Parameter = keyof typeof PARAMETERS;

const URL_PARTS = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^@/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i;

/** Whether a store's name is the URL of a PostgreSQL database. */
export function isPostgres(store: string): boolean {
  return /^postgres(ql)?:/i.test(store);
}

/** The same URL without a password. */
export function withoutPassword(url: string): string {
  return url.replace(/^([a-z]+:\/\/[^:@/?#]*):[^@/?#]*@/i, "$1@")
    .replace(/([?&]password=)[^&]*/gi, "$1…");
}

/**
 * @param url `postgres://USER@HOST:PORT/DATABASE?sslmode=…`; missing parts come from the environment.
 * @throws {LocalError} BAD_ARGUMENT; never contains the password
 */
export function parseConnInfo(url: string, env: Env = (name) => Deno.env.get(name)): ConnInfo {
  const about = withoutPassword(url);
  const bad = (what: string) => new LocalError("BAD_ARGUMENT", `the store ${about}: ${what}`);
  const decode = (text: string) => {
    try {
      return decodeURIComponent(text);
    } catch {
      throw bad("a % in a URL must be followed by two hex digits: write %25 for a % itself");
    }
  };
  const parts = URL_PARTS.exec(url);
  if (!parts) throw bad("it must be a URL such as postgres://USER@HOST:5432/DATABASE");
  const [, credentials = "", authority = "", path = "", query = ""] = parts;
  const given = new Map<Parameter, string>();
  for (const pair of query.split("&").filter((it) => it !== "")) {
    const [name = "", ...rest] = pair.split("=");
    const known = decode(name);
    if (!Object.hasOwn(PARAMETERS, known)) {
      throw bad(`there is no parameter ${known}; use ${Object.keys(PARAMETERS).join(", ")}`);
    }
    given.set(known as Parameter, decode(rest.join("=")));
  }
  const [urlUser = "", ...urlPassword] = credentials.split(":");
  if (urlUser !== "") given.set("user", decode(urlUser));
  if (urlPassword.length > 0) given.set("password", decode(urlPassword.join(":")));
  if (path !== "") given.set("dbname", decode(path));
  const hasPassword = given.has("password");
  const of = (name: Parameter) => given.get(name) ?? env(PARAMETERS[name]) ?? "";

  const user = of("user") || systemUser();
  const database = of("dbname") || user;
  const mode = of("sslmode") || "prefer";
  const ssl = Object.hasOwn(SSL_MODES, mode) ? SSL_MODES[mode]! : undefined;
  if (!ssl) throw bad(`sslmode must be one of ${Object.keys(SSL_MODES).join(", ")}, not ${mode}`);
  const wants = of("target_session_attrs") || "read-write";
  if (!["any", "read-write", "primary"].includes(wants)) {
    throw bad(`a store needs writes: target_session_attrs must be read-write, not ${wants}`);
  }
  const seconds = of("connect_timeout");
  if (!/^\d*$/.test(seconds)) {
    throw bad(`connect_timeout must be a number of seconds, not ${seconds}`);
  }
  const hosts = hostsOf(authority === "" ? of("host") : decode(authority), of("port"));
  if (typeof hosts === "string") throw bad(hosts);
  const passfile = of("passfile");
  return {
    hosts,
    user,
    database,
    ssl,
    rootCert: of("sslrootcert") || undefined,
    cert: of("sslcert") || undefined,
    key: of("sslkey") || undefined,
    connectTimeout: 1000 * (Number(seconds) || 5),
    applicationName: of("application_name") || "holdfast",
    options: of("options") || undefined,
    hasPassword,
    about,
    password: (at) => {
      const said = of("password");
      if (said !== "") return said;
      const file = passfile || (env("HOME") && `${env("HOME")}/.pgpass`);
      return file ? fromFile(file, at, { user, database }) : undefined;
    },
  };
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    return "postgres";
  }
}

/** @returns the hosts, or what is wrong */
function hostsOf(list: string, ports: string): Host[] | string {
  const all = (list || "localhost").split(",");
  const port = ports.split(",");
  const hosts: Host[] = [];
  for (const [i, text] of all.entries()) {
    const parts = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d+))?$/.exec(text);
    if (!parts) return `${text} is not a host: put an IPv6 address in brackets`;
    const [, bracketed, plain, own] = parts;
    const number = Number(own ?? (port[i] || port[0] || 5432));
    if (!(number >= 1 && number <= 65_535)) return `${text} must have a port from 1 to 65535`;
    hosts.push({ host: bracketed ?? (plain || "localhost"), port: number });
  }
  return hosts;
}

/** Reads a password file of libpq: HOST:PORT:DATABASE:USER:PASSWORD in each line, * for any, \ before : and \. */
function fromFile(
  path: string,
  { host, port }: Host,
  { user, database }: { user: string; database: string },
): string | undefined {
  let text: string;
  try {
    const { mode } = Deno.statSync(path);
    if (mode !== null && (mode & 0o77) !== 0) {
      const message = `other users can read the passwords in ${path}: chmod 600 ${path}`;
      throw new LocalError("STORE_UNUSABLE", message);
    }
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const at = [host.startsWith("/") ? "localhost" : host, `${port}`, database, user];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("#")) continue;
    const fields = [...line.matchAll(/((?:\\.|[^:\\])*)(?::|$)/g)].map(([, field = ""]) => field);
    const [password, fits] = [
      fields[4],
      at.every((value, i) => fields[i] === "*" || plain(fields[i] ?? "") === value),
    ];
    if (fits && password !== undefined && fields.length > 4) return plain(password);
  }
  return undefined;
}

function plain(field: string): string {
  return field.replaceAll(/\\(.)/g, "$1");
}
