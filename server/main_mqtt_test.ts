/** The command line's options for a broker. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Channels, Client } from "../bridge/host/mod.ts";
import { makeCertificate, makeExpired } from "../tests/support/certificate.ts";
import { fails, folder, Process, start, startWith } from "../tests/support/main_process.ts";
import { Mosquitto, MqttPeer } from "../tests/support/mosquitto.ts";
import { toolTest } from "../tests/support/tools.ts";
import { until } from "../tests/support/wait.ts";

const SECRET = "a secret that nobody sees";

toolTest(
  "with user and password over TLS, the password is neither in the log nor in the process list",
  { mosquitto: "mosquitto", mosquitto_passwd: "mosquitto", openssl: "openssl" },
  async ({ mosquitto, mosquitto_passwd, openssl }) => {
    using dir = folder();
    const { cert, key } = await makeCertificate(openssl);
    await using broker = await Mosquitto.start(mosquitto, async (path) => {
      await Deno.writeTextFile(`${path}/cert.pem`, cert);
      await Deno.writeTextFile(`${path}/key.pem`, key);
      await Deno.writeTextFile(`${path}/passwords`, "");
      const args = ["-b", `${path}/passwords`, "holdfast", SECRET];
      await new Deno.Command(mosquitto_passwd, { args, stderr: "null" }).output();
      return ["allow_anonymous false", `password_file ${path}/passwords`]
        .concat(`certfile ${path}/cert.pem`, `keyfile ${path}/key.pem`);
    });
    await Deno.writeTextFile(`${dir.path}/ca.pem`, cert);
    const run = (name: string, password: string) => {
      Deno.writeTextFileSync(`${dir.path}/password`, password);
      return start(
        ...["--open", "--store", `${dir.path}/${name}.db`, "--mqtt-ca", `${dir.path}/ca.pem`],
        ...["--mqtt", `mqtts://holdfast@127.0.0.1:${broker.port}`],
        ...["--mqtt-password-file", `${dir.path}/password`],
      );
    };
    await using right = run("right", `${SECRET}\n`);
    assertEquals((await right.logs("broker")).code, undefined);
    const listed = await Deno.readTextFile(`/proc/${right.pid}/cmdline`);
    assertEquals([listed, right.stderr, right.stdout].map((text) => text.includes(SECRET)), [
      false,
      false,
      false,
    ]);
    await using wrong = run("wrong", `not ${SECRET}`);
    const { code, message } = await wrong.logs("broker");
    assertEquals(code, "REFUSED");
    assertStringIncludes(message!, "the broker refuses the connection: not authorized");
    assertEquals(wrong.stderr.includes(SECRET), false);
  },
);

toolTest(
  "a password from the environment is neither in the log nor in the process list; a file overrides it",
  { mosquitto: "mosquitto", mosquitto_passwd: "mosquitto" },
  async ({ mosquitto, mosquitto_passwd }) => {
    using dir = folder();
    await using broker = await Mosquitto.start(mosquitto, async (path) => {
      await Deno.writeTextFile(`${path}/passwords`, "");
      const args = ["-b", `${path}/passwords`, "holdfast", SECRET];
      await new Deno.Command(mosquitto_passwd, { args, stderr: "null" }).output();
      return ["allow_anonymous false", `password_file ${path}/passwords`];
    });
    const env = { HOLDFAST_MQTT_PASSWORD: SECRET };
    const run = (name: string, ...more: string[]) => {
      const url = `mqtt://holdfast@127.0.0.1:${broker.port}`;
      return startWith(env, "--open", "--store", `${dir.path}/${name}.db`, "--mqtt", url, ...more);
    };
    await using right = run("right");
    assertEquals((await right.logs("broker")).code, undefined);
    const listed = await Deno.readTextFile(`/proc/${right.pid}/cmdline`);
    assertEquals(
      [listed, right.stderr, right.stdout].filter((text) => text.includes(SECRET)),
      [],
    );
    const file = `${dir.path}/password`;
    Deno.writeTextFileSync(file, "another one", { mode: 0o644 });
    await using wrong = run("wrong", "--mqtt-password-file", file);
    assertStringIncludes((await wrong.logs("broker")).message!, "not authorized");
    assertStringIncludes((await wrong.logs("warning")).message!, "can read the password in");
    Deno.writeTextFileSync(file, "\n");
    wrong.kill("SIGHUP");
    const complaint = () => wrong.log.find(({ code }) => code === "BAD_ARGUMENT");
    const { message } = await until(complaint, { what: () => wrong.stderr });
    assertStringIncludes(
      message!,
      "is empty: it must hold a password; the old credentials at the broker stay",
    );
    Deno.writeTextFileSync(file, SECRET);
    wrong.kill("SIGHUP");
    assertStringIncludes((await wrong.logs("credentials")).message!, file);
    const isIn = () => wrong.log.find(({ event, code }) => event === "broker" && !code);
    await until(isIn, { what: () => wrong.stderr });
    assertEquals(wrong.stderr.includes(SECRET), false);
    await using nobody = startWith(
      env,
      "--open",
      "--store",
      `${dir.path}/s.db`,
      "--mqtt",
      "mqtt://h",
    );
    assertEquals((await nobody.ended).code, 2);
    assertStringIncludes(nobody.stderr, "HOLDFAST_MQTT_PASSWORD needs a user");
  },
);

toolTest(
  "on SIGHUP the bridge's certificate is read again; an invalid one is reported, and the old one stays",
  { mosquitto: "mosquitto", openssl: "openssl" },
  async ({ mosquitto, openssl }) => {
    using dir = folder();
    const [brokers, own, other] = [
      await makeCertificate(openssl),
      await makeCertificate(openssl, { name: "the bridge" }),
      await makeCertificate(openssl),
    ];
    await using broker = await Mosquitto.start(mosquitto, async (path) => {
      await Deno.writeTextFile(`${path}/cert.pem`, brokers.cert);
      await Deno.writeTextFile(`${path}/key.pem`, brokers.key);
      await Deno.writeTextFile(`${path}/client.pem`, own.cert);
      return [`cafile ${path}/client.pem`, "require_certificate true"]
        .concat("use_identity_as_username true")
        .concat(`certfile ${path}/cert.pem`, `keyfile ${path}/key.pem`);
    });
    const [ca, cert, key] = ["ca", "cert", "key"].map((name) => `${dir.path}/${name}.pem`);
    await Deno.writeTextFile(ca!, brokers.cert);
    const put = ({ cert: ofCert, key: ofKey }: typeof own) => {
      Deno.writeTextFileSync(cert!, ofCert);
      Deno.writeTextFileSync(key!, ofKey, { mode: 0o600 });
    };
    put(other);
    await using server = start(
      ...["--open", "--store", `${dir.path}/s.db`, "--mqtt", `mqtts://127.0.0.1:${broker.port}`],
      ...["--mqtt-ca", ca!, "--mqtt-cert", cert!, "--mqtt-key", key!],
    );
    const tells = (code: string) =>
      until(() => server.log.find((entry) => entry.code === code), { what: () => server.stderr });
    await tells("CERTIFICATE_REFUSED");
    const expired = { cert: await makeExpired(openssl, own.key), key: own.key };
    const wrongs: [typeof own, string][] = [
      [
        { cert: own.cert, key: other.key },
        `--mqtt-key ${key}: the private key does not belong to the`,
      ],
      [
        { cert: own.cert.slice(0, 99), key: own.key },
        `--mqtt-cert ${cert}: the certificate cannot`,
      ],
      [{ cert: own.cert, key: "" }, `--mqtt-key ${key}: the certificate or its private key cannot`],
      [expired, `--mqtt-cert ${cert}: the certificate has expired`],
    ];
    for (const [files, says] of wrongs) {
      const before = server.log.length;
      put(files);
      server.kill("SIGHUP");
      const complaint = () => server.log.slice(before).find(({ code }) => code === "BAD_ARGUMENT");
      const { message } = await until(complaint, { what: () => server.stderr });
      assertStringIncludes(message!, says);
      assertStringIncludes(message!, "the old credentials at the broker stay");
    }
    put(own);
    Deno.chmodSync(key!, 0o644);
    server.kill("SIGHUP");
    await server.logs("credentials");
    await until(() => server.log.some(({ event, code }) => event === "broker" && !code));
    assertStringIncludes((await tells("KEYS_EXPOSED")).message!, "can read the private key in");
    assertEquals(server.stderr.includes(own.key.slice(40, 80)), false);
  },
);

toolTest(
  "the will says offline when the server is killed, also with an application of plain lines",
  { mosquitto: "mosquitto" },
  async ({ mosquitto }) => {
    using dir = folder();
    await using broker = await Mosquitto.start(mosquitto);
    await using peer = new MqttPeer(broker.port, ["home/#"]);
    await using server = start(
      ...["--open", "--store", `${dir.path}/s.db`, "--app", "echo", "--mqtt-prefix", "home"],
      ...["--mqtt", `mqtt://127.0.0.1:${broker.port}`, "--mqtt-version", "3.1.1"],
    );
    await peer.shows("home/status", "online");
    server.kill("SIGKILL");
    await peer.shows("home/status", "offline");
  },
);

toolTest(
  "a server that is stopped cleanly publishes offline",
  { mosquitto: "mosquitto" },
  async ({ mosquitto }) => {
    using dir = folder();
    await using broker = await Mosquitto.start(mosquitto);
    await using peer = new MqttPeer(broker.port, ["holdfast/#"]);
    await using server = start(
      ...["--open", "--store", `${dir.path}/s.db`, "--mqtt", `mqtt://127.0.0.1:${broker.port}`],
    );
    await peer.shows("holdfast/status", "online");
    server.kill("SIGTERM");
    assertEquals((await server.ended).code, 0);
    await peer.shows("holdfast/status", "offline");
    assertEquals(server.log.filter(({ event }) => event === "warning"), []);
  },
);

toolTest(
  "a device that a command forgets while no server runs is removed from the broker at the next start",
  { mosquitto: "mosquitto" },
  async ({ mosquitto }) => {
    using dir = folder();
    await using broker = await Mosquitto.start(mosquitto);
    await using peer = new MqttPeer(broker.port, ["#"]);
    const store = ["--store", `${dir.path}/s.db`];
    await Deno.writeTextFile(
      `${dir.path}/kitchen.json`,
      '{"channels":{"temp":{"kind":"sensor","unit":"°C"}}}',
    );
    const options = ["--open", ...store, "--descriptions", dir.path]
      .concat("--mqtt", `mqtt://127.0.0.1:${broker.port}`, "--mqtt-home-assistant");
    const topics = ["homeassistant/device/holdfast__kitchen/config"]
      .concat(["temp", "availability", "diagnostics"].map((name) => `holdfast/kitchen/${name}`));
    {
      await using server = start(...options);
      await using client = new Client({ id: "kitchen", port: await server.port() });
      await new Channels(client, { app: "kitchen", version: "1" }).report("temp", 1);
      await until(() => topics.every((topic) => peer.at(topic).at(-1)), { what: "its topics" });
      server.kill("SIGTERM");
      assertEquals((await server.ended).code, 0);
    }
    await using forgetting = new Process(["forget", "kitchen", ...store]);
    assertEquals((await forgetting.ended).code, 0);
    await using _ = start(...options);
    for (const topic of topics) await peer.shows(topic, "");
  },
);

Deno.test("a missing broker is reported, and the server serves devices", async () => {
  using dir = folder();
  await using server = start(
    "--open",
    "--store",
    `${dir.path}/s.db`,
    "--mqtt",
    "mqtt://127.0.0.1:1",
  );
  const { code, address } = await server.logs("broker");
  assertEquals([code, address], ["LOST", "127.0.0.1:1"]);
  await until(() => server.log.filter(({ event }) => event === "broker").length > 1, {
    what: "another attempt",
  });
});

const WRONG: [string, string[], string][] = [
  ["without a store", ["--mqtt", "mqtt://localhost"], "--store FILE"],
  ["another protocol", ["--mqtt", "http://localhost"], "--mqtt takes mqtt://USER@HOST:PORT"],
  ["no URL", ["--mqtt", "localhost"], "--mqtt takes mqtt://USER@HOST:PORT"],
  ["a path after the host", ["--mqtt", "mqtt://localhost/topic"], "nothing after it"],
  ["a bad prefix", ["--mqtt", "mqtt://localhost", "--mqtt-prefix", "a/#"], "a prefix must have"],
  [
    "another version",
    ["--mqtt", "mqtt://localhost", "--mqtt-version", "4"],
    "--mqtt-version takes",
  ],
  [
    "a deadline that is not in ms",
    ["--mqtt", "mqtt://localhost", "--mqtt-deadline", "1s"],
    "--mqtt-deadline takes ms",
  ],
  [
    "a malformed time for a device",
    ["--mqtt", "mqtt://localhost", "--mqtt-offline-after", "a=b=1s"],
    "--mqtt-offline-after takes ms",
  ],
  [
    "a sleep without a time",
    ["--mqtt", "mqtt://localhost", "--mqtt-sleeping", "x="],
    "--mqtt-sleeping",
  ],
  ["a deadline of 0", ["--mqtt", "mqtt://localhost", "--mqtt-deadline", "0"], "1 to 2147483647"],
  [
    "a malformed topic of devices",
    ["--mqtt", "mqtt://localhost", "--mqtt-own-topics", "a", "--mqtt-own-topics", "$SYS/#"],
    "topics of devices",
  ],
  ...["7", "0d", "-1s", "1w", "1.5h"].map((age): [string, string[], string] => [
    `a malformed age: ${age}`,
    ["--mqtt", "mqtt://localhost", `--mqtt-max-age=${age}`],
    "--mqtt-max-age takes a duration such as",
  ]),
  ["a prefix without a broker", ["--mqtt-prefix", "home"], "--mqtt-prefix needs a broker"],
  [
    "Home Assistant without a broker",
    ["--mqtt-home-assistant"],
    "--mqtt-home-assistant needs a broker",
  ],
  [
    "Home Assistant's prefix without it",
    ["--mqtt", "mqtt://localhost", "--mqtt-home-assistant-prefix", "ha"],
    "needs --mqtt-home-assistant",
  ],
  [
    "another availability",
    ["--mqtt", "mqtt://h", "--mqtt-home-assistant", "--mqtt-home-assistant-availability", "some"],
    "takes one of sensors, all, none, not some",
  ],
  [
    "Home Assistant's prefix as the bridge's",
    ["--mqtt", "mqtt://h", "--mqtt-home-assistant", "--mqtt-prefix", "homeassistant"],
    "is Home Assistant's",
  ],
  ["a CA without TLS", ["--mqtt", "mqtt://localhost", "--mqtt-ca", "x"], "--mqtt-ca is for TLS"],
  [
    "a certificate without TLS",
    ["--mqtt", "mqtt://h", "--mqtt-cert", "x", "--mqtt-key", "y"],
    "--mqtt-cert is for TLS",
  ],
  [
    "a certificate without its key",
    ["--mqtt", "mqtts://h", "--mqtt-cert", "x"],
    "needs --mqtt-key",
  ],
  [
    "a private key without its certificate",
    ["--mqtt", "mqtts://h", "--mqtt-key", "x"],
    "needs --mqtt-cert",
  ],
  [
    "a missing certificate",
    ["--mqtt", "mqtts://h", "--mqtt-cert", "/no/file", "--mqtt-key", "/no/file"],
    "--mqtt-cert: ",
  ],
  ["a malformed CA", ["--mqtt", "mqtts://h", "--mqtt-ca", "/dev/null"], "--mqtt-ca /dev/null: "],
  [
    "a password without a user",
    ["--mqtt", "mqtt://h", "--mqtt-password-file", "x"],
    "needs a user",
  ],
  [
    "a missing password file",
    ["--mqtt", "mqtt://u@h", "--mqtt-password-file", "/no/file"],
    "--mqtt-password-file",
  ],
];
for (const [what, args, says] of WRONG) {
  Deno.test(`wrong arguments for MQTT: ${what}`, async () => {
    const [code, stderr] = await fails("--open", "--port", "0", "--host", "127.0.0.1", ...args);
    assertEquals(code, 2);
    assertStringIncludes(stderr, says);
  });
}

Deno.test("a password in the URL is refused, and not repeated", async () => {
  for (const url of [`mqtt://user:${SECRET}@host`, `mqtt://user:${SECRET}@ho st:x`]) {
    const [code, stderr] = await fails("--open", "--mqtt", url);
    assertEquals([code, stderr.includes(SECRET)], [2, false]);
    assertStringIncludes(stderr, "--mqtt takes");
  }
});
