/** Where a PostgreSQL server is and how it lets us in, as libpq's conventions have it: a URL and the environment. */
import { userInfo } from "node:os";
import { LocalError } from "../../protocol/errors.ts";

/** As libpq's `sslmode`; its "allow" is taken for "prefer". */
export type SslMode = "disable" | "prefer" | "require" | "verify-ca" | "verify-full";

/** One of the addresses at which the database may be. */
export interface Host {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
}

/** All that is needed to connect. */
export interface ConnInfo {
  /** To be tried in this order, until one takes changes. */
  readonly hosts: readonly Host[];
  readonly user: string;
  readonly database: string;
  readonly ssl: SslMode;
  /** Files in PEM; "system" as the root: the system's authorities. */
  readonly rootCert: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** In ms. */
  readonly connectTimeout: number;
  readonly applicationName: string;
  /** libpq's `options`: settings of each session. */
  readonly options: string | undefined;
  /** Whether the password stands in the URL, where a list of processes may show it. */
  readonly hasPassword: boolean;
  /** Without the password: for people. */
  readonly about: string;
  /** What the database asks for, looked up each time, as its file may change; undefined: there is no password. */
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

/** Parameters of the URL, and the variables that stand in for them. */
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
 * @param url `postgres://USER@HOST:PORT/DATABASE?sslmode=…`; what it leaves out, the environment says.
 * @throws {LocalError} BAD_ARGUMENT; it never has the password in it
 */
export function parseConnInfo(url: string, env: Env = (name) => Deno.env.get(name)): ConnInfo {
  const about = withoutPassword(url);
  const bad = (what: string) => new LocalError("BAD_ARGUMENT", `the store ${about}: ${what}`);
  const decode = (text: string) => {
    try {
      return decodeURIComponent(text);
    } catch {
      throw bad("a % in a URL stands before two hex digits: write %25 for the sign itself");
    }
  };
  const parts = URL_PARTS.exec(url);
  if (!parts) throw bad("it is no URL such as postgres://USER@HOST:5432/DATABASE");
  const [, credentials = "", authority = "", path = "", query = ""] = parts;
  const given = new Map<Parameter, string>();
  for (const pair of query.split("&").filter((it) => it !== "")) {
    const [name = "", ...rest] = pair.split("=");
    const known = decode(name);
    if (!Object.hasOwn(PARAMETERS, known)) {
      throw bad(`there is no ${known}, but ${Object.keys(PARAMETERS).join(", ")}`);
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
  if (!ssl) throw bad(`sslmode is one of ${Object.keys(SSL_MODES).join(", ")}, not ${mode}`);
  const wants = of("target_session_attrs") || "read-write";
  if (!["any", "read-write", "primary"].includes(wants)) {
    throw bad(`a store must be written to: target_session_attrs is read-write, not ${wants}`);
  }
  const seconds = of("connect_timeout");
  if (!/^\d*$/.test(seconds)) throw bad(`connect_timeout is a number of seconds, not ${seconds}`);
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

/** @returns them, or what is wrong */
function hostsOf(list: string, ports: string): Host[] | string {
  const all = (list || "localhost").split(",");
  const port = ports.split(",");
  const hosts: Host[] = [];
  for (const [i, text] of all.entries()) {
    const parts = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d+))?$/.exec(text);
    if (!parts) return `${text} is no host: an IPv6 address stands in brackets`;
    const [, bracketed, plain, own] = parts;
    const number = Number(own ?? (port[i] || port[0] || 5432));
    if (!(number >= 1 && number <= 65_535)) return `${text} has no port from 1 to 65535`;
    hosts.push({ host: bracketed ?? (plain || "localhost"), port: number });
  }
  return hosts;
}

/** A password file of libpq's: HOST:PORT:DATABASE:USER:PASSWORD in each line, * for any, \ before : and \. */
function fromFile(
  path: string,
  { host, port }: Host,
  { user, database }: { user: string; database: string },
): string | undefined {
  let text: string;
  try {
    const { mode } = Deno.statSync(path);
    if (mode !== null && (mode & 0o77) !== 0) {
      const message = `the passwords in ${path} can be read by others: chmod 600 ${path}`;
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
