import { assert, assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "../../protocol/errors.ts";
import { isPostgres, parseConnInfo, withoutPassword } from "./conninfo.ts";

/** Parses a URL with a given environment. */
function parse(url: string, env: Record<string, string> = {}) {
  return parseConnInfo(url, (name) => env[name]);
}

Deno.test("the settings of a URL come first, and the environment supplies the rest", () => {
  const all = parse("postgres://me:p%40ss@db.example:5433/things?sslmode=verify-full", {
    PGUSER: "other",
    PGSSLROOTCERT: "/ca.pem",
    PGCONNECT_TIMEOUT: "7",
  });
  const { hosts, user, database, ssl, rootCert, connectTimeout, hasPassword } = all;
  assertEquals({ hosts, user, database, ssl, rootCert, connectTimeout, hasPassword }, {
    hosts: [{ host: "db.example", port: 5433 }],
    user: "me",
    database: "things",
    ssl: "verify-full",
    rootCert: "/ca.pem",
    connectTimeout: 7000,
    hasPassword: true,
  });
  assertEquals(all.password(hosts[0]!), "p@ss");
  const env = { PGHOST: "h", PGPORT: "1", PGUSER: "u", PGPASSWORD: "p", PGDATABASE: "d" };
  const none = parse("postgresql://", env);
  assertEquals([none.hosts, none.user, none.database, none.password(none.hosts[0]!)], [
    [{ host: "h", port: 1 }],
    "u",
    "d",
    "p",
  ]);
  assertEquals([none.ssl, none.hasPassword, none.connectTimeout], ["prefer", false, 5000]);
});

Deno.test("a URL may have several hosts, addresses in brackets, and folders of sockets", () => {
  const hosts = (url: string, env = {}) => parse(url, env).hosts.map((it) => [it.host, it.port]);
  assertEquals(hosts("postgres://a,b:1,[::1]:2/x"), [["a", 5432], ["b", 1], ["::1", 2]]);
  assertEquals(hosts("postgres://%2Fvar%2Frun/x"), [["/var/run", 5432]]);
  assertEquals(hosts("postgres:///x", { PGHOST: "a,b", PGPORT: "1,2" }), [["a", 1], ["b", 2]]);
  assertEquals(hosts("postgres:///x"), [["localhost", 5432]]);
});

Deno.test("the error for an invalid URL names the fault, but not the password", () => {
  const cases: [url: string, about: string][] = [
    ["postgres:/x", "must be a URL"],
    ["postgres://u:secret@h/d?sslmode=maybe", "sslmode must be one of"],
    ["postgres://u:secret@h/d?pool=3", "there is no parameter pool"],
    ["postgres://u:secret@h:99999/d", "must have a port"],
    ["postgres://u:secret@::1/d", "in brackets"],
    ["postgres://u:secret@h/d?connect_timeout=soon", "a number of seconds"],
    ["postgres://u:secret@h/d?target_session_attrs=standby", "a store needs writes"],
    ["postgres://u:secret@h/d%zz", "two hex digits"],
    ["postgres://h/d?password=secret&x=1", "there is no parameter x"],
  ];
  for (const [url, about] of cases) {
    const { code, message } = assertThrows(() => parse(url), LocalError, about, url);
    assertEquals(code, "BAD_ARGUMENT");
    assert(!message.includes("secret"), message);
  }
  assertEquals(withoutPassword("postgres://u:secret@h/d"), "postgres://u@h/d");
  assertEquals([isPostgres("postgres.db"), isPostgres("postgresql://x")], [false, true]);
});

Deno.test("a password file has libpq's format, is read each time, and is refused if others can read it", () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  try {
    const path = `${folder}/pass`;
    const write = (text: string, mode = 0o600) => {
      Deno.writeTextFileSync(path, text);
      Deno.chmodSync(path, mode);
    };
    const at = { host: "h", port: 5432 };
    const info = parse("postgres://u@h/d", { PGPASSFILE: path });
    assertEquals(info.password(at), undefined, "there is no file");
    write("# h:5432:d:u:no\nother:*:*:*:no\nh:5432:d:u:a\\:b\\\\c\nh:*:*:*:later\n");
    assertEquals(info.password(at), "a:b\\c");
    write("*:*:*:*:any");
    assertEquals(info.password(at), "any");
    write("h:5433:*:*:no\nh:5432:e:*:no\nh:5432:d:v:no\n");
    assertEquals(info.password(at), undefined);
    write("localhost:*:*:*:socket");
    assertEquals(info.password({ host: "/run", port: 5432 }), "socket");
    write("*:*:*:*:any", 0o644);
    assertEquals(
      assertThrows(() => info.password(at), LocalError, "chmod 600").code,
      "STORE_UNUSABLE",
    );
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
