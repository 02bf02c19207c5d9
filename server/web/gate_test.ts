/** Who is admitted to the page, and attempts to get in without permission. */
import { createHmac } from "node:crypto";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { LocalError } from "../protocol/errors.ts";
import { Server } from "../server.ts";
import { SqliteStore } from "../store/sqlite/sqlite.ts";
import { Attempts } from "./attempts.ts";
import { Credentials, hashPassword } from "./credentials.ts";
import { Gate, type GateOptions, secretOf } from "./gate.ts";
import { Router } from "./routes.ts";

const PASSWORD = "correct horse battery";
const hash = await hashPassword(PASSWORD);
const [withLook, lookToken] = Credentials.none.withPassword(hash).withToken("grafana", "look");
const [credentials, actToken] = withLook.withToken("robot", "act");

class Door {
  readonly clock = new ManualClock();
  readonly gate: Gate;
  readonly #router: Router;

  constructor(options: Partial<GateOptions> = {}) {
    const { clock } = this;
    this.gate = new Gate({
      credentials,
      most: "act",
      isSecure: false,
      secret: new Uint8Array(32),
      date: () => clock.date(),
      now: () => clock.now(),
      ...options,
    });
    this.#router = new Router(this.gate.routes());
  }

  /** What a request with these headers may do. */
  may(headers: Record<string, string>) {
    return this.gate.rightOf(new Request("http://localhost/", { headers }));
  }

  async logIn(password: unknown, address = "10.0.0.1"): Promise<Response> {
    const request = new Request("http://localhost/api/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ password }),
    });
    return await this.#router.answer(request, { may: "nothing", address });
  }

  /** The response to a request about the session. */
  async asks(method: string, may: "nothing" | "look" = "nothing"): Promise<Response> {
    const request = new Request("http://localhost/api/session", { method });
    return await this.#router.answer(request, { may, address: "10.0.0.1" });
  }

  /** The session's cookie, as a browser sends it. */
  async cookie(): Promise<string> {
    const response = await this.logIn(PASSWORD);
    return response.headers.get("set-cookie")!.split(";")[0]!;
  }
}

async function codeOf(response: Response): Promise<[number, string]> {
  return [response.status, (await response.json()).code];
}

Deno.test("without a password, anybody who can reach the page may use it", () => {
  assertEquals(new Door({ credentials: undefined }).may({}), "act");
  assertEquals(new Door({ credentials: undefined, most: "look" }).may({}), "look");
});

Deno.test("with a password, a session is needed; it survives restarts, and ends after 30 days or with the password", async () => {
  const door = new Door();
  assertEquals(door.may({}), "nothing");
  const response = await door.logIn(PASSWORD);
  assertEquals([response.status, await response.json()], [200, { may: "act" }]);
  const header = response.headers.get("set-cookie")!;
  assertMatch(header, /^holdfast=[^;]+; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Strict$/);
  const [cookie] = header.split(";");
  assertEquals(door.may({ cookie: `other=1; ${cookie}` }), "act");
  assertEquals(new Door({ most: "look" }).may({ cookie: cookie! }), "look");
  const other = credentials.withPassword(await hashPassword("another password"));
  assertEquals(new Door({ credentials: other }).may({ cookie: cookie! }), "nothing");
  assertEquals(
    new Door({ secret: new Uint8Array(32).fill(1) }).may({ cookie: cookie! }),
    "nothing",
  );
  await door.clock.advance(30 * 24 * 3600 * 1000 - 1000);
  assertEquals(door.may({ cookie: cookie! }), "act");
  await door.clock.advance(1000);
  assertEquals(door.may({ cookie: cookie! }), "nothing");
});

Deno.test("logging out removes the cookie", async () => {
  const door = new Door();
  const response = await door.asks("DELETE");
  assertEquals(
    response.headers.get("set-cookie"),
    "holdfast=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
  );
  assertEquals(await response.json(), { may: "nothing" });
  assertEquals(await (await door.asks("GET")).json(), { may: "nothing", login: true });
  const open = new Door({ credentials: undefined });
  assertEquals(await (await open.asks("GET", "look")).json(), { may: "look", login: false });
});

Deno.test("if no password is set, even a correctly signed session gives no access", () => {
  const secret = new Uint8Array(32);
  const until = 1_700_000_000 + 1000;
  const key = createHmac("sha256", secret).update("").digest();
  const signature = createHmac("sha256", key).update(`session ${until}`).digest("base64url");
  const [tokens] = Credentials.none.withToken("grafana", "look");
  const cookie = `holdfast=${until}.${signature}`;
  assertEquals(new Door({ secret, credentials: tokens }).may({ cookie }), "nothing");
});

Deno.test("the secret that signs sessions is kept in the store; without a database, a new one is made each time", async () => {
  const anywhere = { open: true, port: 0, hostname: "127.0.0.1" };
  const folder = await Deno.makeTempDir();
  try {
    const secrets: Uint8Array[] = [];
    for (let run = 0; run < 2; run++) {
      const store = new SqliteStore(`${folder}/holdfast.db`);
      const server = await Server.listen({ ...anywhere, store });
      for (let n = 0; n < 2; n++) secrets.push(await secretOf(server));
      await server.close();
      await store.close();
    }
    assertEquals(secrets[0]!.length, 32);
    for (const secret of secrets) assertEquals(secret, secrets[0]!);
    await using memory = await Server.listen(anywhere);
    const [one, other] = [await secretOf(memory), await secretOf(memory)];
    assertEquals([one.length, other.length], [32, 32]);
    assertNotEquals(one, other);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a failing store is not mistaken for one without a database: no new secret is made", async () => {
  const failures = [
    new LocalError("STORE_FAILED", "no room left"),
    new TypeError("a bug"),
    Object.assign(new Error("somebody else's"), { code: "BAD_ARGUMENT" }),
  ];
  for (const error of failures) {
    const transaction = () => Promise.reject(error);
    await assertRejects(() => secretOf({ transaction }), Error, error.message);
  }
});

Deno.test("over TLS, the session's cookie is marked Secure", async () => {
  const header = (await new Door({ isSecure: true }).logIn(PASSWORD)).headers.get("set-cookie")!;
  assertMatch(header, /^__Host-holdfast=.*; Secure$/);
});

Deno.test("a forged, changed or prolonged cookie is not a session", async () => {
  const door = new Door();
  const cookie = await door.cookie();
  const [until, signature] = cookie.replace("holdfast=", "").split(".");
  for (
    const forged of [
      "holdfast=",
      "holdfast=.",
      `holdfast=${until}`,
      `holdfast=${until}.`,
      `holdfast=${until}.${"A".repeat(43)}`,
      `holdfast=${Number(until) + 1}.${signature}`,
      `holdfast=${until}.${signature}x`,
      `holdfast=9e9.${signature}`,
      `xholdfast=${until}.${signature}`,
      `holdfast=${"9".repeat(5000)}.${signature}`,
    ]
  ) {
    assertEquals(door.may({ cookie: forged }), "nothing", forged);
  }
});

Deno.test("a token grants look or act, but never more than the page allows", () => {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  assertEquals(new Door().may(bearer(lookToken)), "look");
  assertEquals(new Door().may(bearer(actToken)), "act");
  assertEquals(new Door({ most: "look" }).may(bearer(actToken)), "look");
  for (const wrong of ["", "Bearer", "Basic eDp5", `Bearer ${lookToken}x`, "Bearer hft_"]) {
    assertThrows(() => new Door().may({ authorization: wrong }), Error, "does not know");
  }
});

Deno.test("wrong guesses delay only the address that makes them", async () => {
  const door = new Door();
  for (let n = 0; n < 5; n++) {
    assertEquals(await codeOf(await door.logIn("a wrong one")), [403, "BAD_PASSWORD"]);
  }
  const late = await door.logIn(PASSWORD);
  assertEquals([late.headers.get("retry-after"), ...await codeOf(late)], ["1", 429, "TOO_OFTEN"]);
  assertEquals((await door.logIn(PASSWORD, "10.0.0.2")).status, 200);
  await door.clock.advance(700);
  assertEquals(
    (await door.logIn(PASSWORD)).headers.get("retry-after"),
    "1",
    "the rest of the second is rounded up",
  );
  await door.clock.advance(1000);
  assertEquals((await door.logIn(PASSWORD)).status, 200, "after the pause it may log in");
  const wrong = await door.logIn("wrong again");
  assertEquals(await codeOf(wrong), [403, "BAD_PASSWORD"], "a login clears earlier failures");
});

Deno.test("only two passwords are checked at a time, because each check takes memory and a core", async () => {
  const door = new Door();
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) => door.logIn("a wrong one", `10.0.1.${n}`)),
  );
  const statuses = answers.map(({ status }) => status);
  assertEquals(statuses.filter((status) => status === 403).length, 2);
  assertEquals(statuses.filter((status) => status === 429).length, 18);
});

Deno.test("a value that cannot be the password is refused without hashing it", async () => {
  const door = new Door();
  assertEquals(await codeOf(await door.logIn(7)), [400, "BAD_ARGUMENT"]);
  assertEquals(await codeOf(await door.logIn("x".repeat(5000))), [413, "TOO_LARGE"]);
  const longest = "€".repeat(256);
  assertEquals(await codeOf(await door.logIn(longest)), [403, "BAD_PASSWORD"], "it might be one");
  for (const credentials of [Credentials.none, undefined]) {
    const none = new Door({ credentials });
    assertEquals(await codeOf(await none.logIn(PASSWORD)), [403, "NO_PASSWORD"]);
  }
});

Deno.test("pauses grow to a minute; an IPv6 network counts as one address; memory is bounded", () => {
  let now = 0;
  const attempts = new Attempts(() => now);
  const pauses: number[] = [];
  for (let n = 0; n < 14; n++) {
    const pause = attempts.begin(`2001:db8::${n + 1}`);
    if (pause > 0) {
      pauses.push(pause);
      now += pause;
      assertEquals(attempts.begin("2001:db8::ffff"), 0);
    }
  }
  assertEquals(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  assertEquals(attempts.begin("2001:db8:0:1::1"), 0, "another network");
  for (let n = 0; n < 2000; n++) attempts.begin(`10.1.${n >> 8}.${n & 255}`);
  assertEquals(attempts.begin("2001:db8::1"), 0, "it was forgotten for others");
});

Deno.test("wrong guesses are forgotten after more than 15 minutes without a guess", () => {
  let now = 0;
  const attempts = new Attempts(() => now);
  const guesses = (count: number) =>
    Array.from({ length: count }, () => attempts.begin("10.0.0.1"));
  assertEquals(guesses(6), [0, 0, 0, 0, 0, 1000]);
  now += 15 * 60_000;
  assertEquals(guesses(2), [0, 2000], "it may guess once");
  now += 15 * 60_000 + 1;
  assertEquals(guesses(6), [0, 0, 0, 0, 0, 1000]);
});

Deno.test("when the table of addresses is full, the one whose last guess is oldest is forgotten", () => {
  const attempts = new Attempts(() => 0);
  const guess = (n: number) => attempts.begin(`10.2.${n >> 8}.${n & 255}`);
  for (let n = 0; n < 1024; n++) for (let times = 0; times < 4; times++) guess(n);
  assertEquals([guess(0), guess(0)], [0, 1000], "the fifth guess is free");
  guess(5000); // one more: 1 is forgotten, as 0 has guessed since
  assertEquals(guess(0), 1000);
  assertEquals([guess(1), guess(1)], [0, 0]);
});

Deno.test("the file of credentials contains no password and no token, and a malformed one is refused", async () => {
  const text = credentials.format();
  assert(![PASSWORD, lookToken, actToken].some((secret) => text.includes(secret)));
  const read = Credentials.parse(text);
  assertEquals(read.format(), text);
  assertEquals([await read.isPassword(PASSWORD), await read.isPassword("other")], [true, false]);
  assertEquals(read.withoutToken("robot").rightOf(actToken), undefined);
  const salt = "A".repeat(22);
  for (
    const [wrong, message] of [
      ["", "not JSON"],
      ["[]", "must be an object"],
      ['{"passwort": ""}', 'there must be no field "passwort"'],
      ['{"password": 1}', "must be a string"],
      ['{"password": "plain"}', "must be a hash"],
      [`{"password": "scrypt 20 8 1 ${salt} ${"A".repeat(43)}"}`, "must be a hash"],
      ['{"tokens": {"a": {"sha256": "x", "may": "look"}}}', "no sha256"],
      [`{"tokens": {"a": {"sha256": "${"0".repeat(64)}", "may": "own"}}}`, '"look" or "act"'],
    ] as const
  ) {
    assertThrows(() => Credentials.parse(wrong), LocalError, message);
  }
  await assertRejects(() => hashPassword("short"), LocalError, "8 to 256 characters");
  assertThrows(() => credentials.withToken("robot", "act"), LocalError, "already");
  assertThrows(() => credentials.withToken("a b", "act"), LocalError, "name");
  assertThrows(() => credentials.withoutToken("nobody"), LocalError, "no token");
});

Deno.test("a changed password ends all sessions; other changes of the file do not", async () => {
  const door = new Door();
  const cookie = await door.cookie();
  assertEquals(door.may({ cookie }), "act");
  door.gate.setCredentials(credentials.withoutToken("robot"));
  assertEquals(door.may({ cookie }), "act");
  assertThrows(() => door.may({ authorization: `Bearer ${actToken}` }), Error, "does not know");
  door.gate.setCredentials(credentials.withPassword(await hashPassword("another password")));
  assertEquals(door.may({ cookie }), "nothing");
  assertEquals(await codeOf(await door.logIn(PASSWORD)), [403, "BAD_PASSWORD"]);
  assertEquals((await door.logIn("another password")).status, 200);
});
