/** The bridge's credentials at a broker, and what happens when they are replaced. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { AtBroker } from "../../tests/support/at_broker.ts";
import { makeCertificate } from "../../tests/support/certificate.ts";
import { Mosquitto } from "../../tests/support/mosquitto.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError } from "../../server/mod.ts";
import { MqttBridge, type MqttOptions } from "./mod.ts";

const TOOLS = { mosquitto: "mosquitto", openssl: "openssl" };

/** A broker that wants a certificate, and takes one. */
async function begin(mosquitto: string, openssl: string, altName = "IP:127.0.0.1") {
  const own = await makeCertificate(openssl, { name: "the bridge" });
  const brokers = await makeCertificate(openssl, { altName });
  const broker = await Mosquitto.start(mosquitto, async (path) => {
    const files = { "broker.pem": brokers.cert, "broker.key": brokers.key, "client.pem": own.cert };
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${path}/${name}`, text);
    }
    return [
      `cafile ${path}/client.pem`,
      "require_certificate true",
      "use_identity_as_username true",
    ]
      .concat(`certfile ${path}/broker.pem`, `keyfile ${path}/broker.key`);
  });
  return { broker, own, caCert: brokers.cert };
}

toolTest(
  "a broker that wants a certificate knows the bridge by it",
  TOOLS,
  async ({ mosquitto, openssl }) => {
    const { broker, own, caCert } = await begin(mosquitto, openssl);
    await using _ = broker;
    for (const version of [4, 5] as const) {
      await using all = await AtBroker.start({
        port: broker.port,
        version,
        tls: { caCert, ...own },
      });
      await all.tells(undefined);
      const known = new RegExp(`as holdfast\\w+ \\(p${version === 4 ? 2 : 5}.*u'the bridge'`);
      await until(() => known.test(broker.log), { what: () => broker.log });
    }
  },
);

toolTest(
  "a refused certificate is reported, and so is who refused it",
  TOOLS,
  async ({ mosquitto, openssl }) => {
    const { broker, own, caCert } = await begin(mosquitto, openssl);
    await using _ = broker;
    const elsewhere = await begin(mosquitto, openssl, "DNS:elsewhere");
    await using _elsewhere = elsewhere.broker;
    const other = await makeCertificate(openssl);
    const wrongs: [Mosquitto, MqttOptions["tls"], string, string][] = [
      [broker, { caCert }, "CERTIFICATE_REFUSED", "requires a certificate of the bridge"],
      [broker, { caCert, ...other }, "CERTIFICATE_REFUSED", "does not accept the bridge's"],
      [broker, { caCert: other.cert, ...own }, "BAD_CERTIFICATE", "check --mqtt-ca"],
      [broker, { ...own }, "BAD_CERTIFICATE", "check --mqtt-ca"],
      [broker, true, "BAD_CERTIFICATE", "check --mqtt-ca"],
      [
        elsewhere.broker,
        { caCert: elsewhere.caCert, ...elsewhere.own },
        "BAD_CERTIFICATE",
        "for another name",
      ],
    ];
    for (const [at, tls, code, says] of wrongs) {
      await using all = await AtBroker.start({ port: at.port, tls: tls! });
      const { message } = await all.tells(code);
      assertStringIncludes(message!, says);
    }
  },
);

toolTest(
  "credentials are replaced while the bridge runs, and used at once if they were needed",
  TOOLS,
  async ({ mosquitto, openssl }) => {
    const { broker, own, caCert } = await begin(mosquitto, openssl);
    await using _ = broker;
    const other = await makeCertificate(openssl);
    await using all = await AtBroker.start({ port: broker.port, tls: { caCert, ...other } });
    await all.tells("CERTIFICATE_REFUSED");
    // Pauses have become long, if one waits for them.
    await until(() => all.events.filter(({ event }) => event === "broker").length > 1);
    all.mqtt.setCredentials({ tls: { caCert, ...own } });
    await all.tells(undefined);
    const [cert, key] = [other.cert, own.key];
    const bad: [MqttOptions["tls"], string][] = [
      [{ caCert, cert, key }, "the private key does not belong to the certificate"],
      [{ caCert, cert: own.cert }, "a certificate and its private key"],
      [{ caCert, key }, "a certificate and its private key"],
      [{ caCert: "none" }, "caCert: the certificate cannot be read"],
      [{ caCert, cert: own.cert + "\n-----BEGIN CERTIFICATE-----\nAA", key }, "cert: the cert"],
      [undefined, "cannot be turned on or off"],
    ];
    for (const [tls, says] of bad) {
      const set = () => all.mqtt.setCredentials(tls === undefined ? {} : { tls });
      const error = assertThrows(set, LocalError, says);
      assertEquals(error.code, "BAD_ARGUMENT");
      assert(!error.message.includes("PRIVATE"), error.message);
      if (tls === undefined) continue;
      assertThrows(() => new MqttBridge({ hostname: "h", tls }), LocalError, says);
    }
    // The old ones are still there.
    const before = all.events.length;
    await broker.stop();
    await broker.start();
    const back = () =>
      all.events.slice(before).some((event) =>
        event.event === "broker" && event.code === undefined
      );
    await until(back, { what: () => JSON.stringify(all.events.slice(before)) });
  },
);
