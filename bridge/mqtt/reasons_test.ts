/** A broker's refusals are reported in words, with the remedy. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { PeerError } from "../../server/protocol/errors.ts";
import { MqttRig } from "../../tests/support/mqtt_rig.ts";
import type { Packet, Version } from "./codec.ts";
import { BrokerError } from "./errors.ts";
import { explain } from "./explain.ts";

const REFUSALS: [Version, number, ...string[]][] = [
  [4, 1, "does not support this version", "(1)"],
  [4, 2, "client id", "23 letters"],
  [4, 3, "not available", "tried again"],
  [4, 4, "user or password is wrong", "check the user"],
  [4, 5, "not authorized", "rules"],
  [4, 77, "an unknown reason (77)"],
  [5, 1, "does not support MQTT 5", "--mqtt-version 3.1.1"],
  [5, 2, "an unknown reason (2)"],
  [5, 0x80, "unspecified error (0x80)"],
  [5, 0x84, "does not support MQTT 5", "--mqtt-version 3.1.1"],
  [5, 0x85, "client id", "23 letters"],
  [5, 0x86, "user or password is wrong", "check the user"],
  [5, 0x87, "not authorized", "rules"],
  [5, 0x88, "not available", "tried again"],
  [5, 0x89, "busy", "tried again"],
  [5, 0x8a, "banned", "ask the broker's operator"],
  [5, 0x8c, "authentication other than"],
  [5, 0x97, "quota"],
  [5, 0x9f, "too fast", "tried again"],
  [5, 0xee, "an unknown reason (0xee)"],
];
for (const [version, code, ...says] of REFUSALS) {
  Deno.test(`CONNACK ${code} of MQTT ${version} says what is wrong, and what to do`, () => {
    const rig = new MqttRig(version);
    rig.session.connecting(0);
    rig.session.opened(0);
    // As bytes: an old broker answers in its own way, whatever it was asked in.
    const bytes = version === 5 && code >= 0x80 ? [0x20, 3, 0, code, 0] : [0x20, 2, 0, code];
    const error = assertThrows(() => rig.gives(Uint8Array.from(bytes)), BrokerError);
    assertEquals(error.code, "REFUSED");
    for (const text of says) assertStringIncludes(error.message, text);
  });
}

Deno.test("the broker's own words, and another broker that it names, are passed on", () => {
  const rig = new MqttRig(5);
  rig.session.connecting(0);
  rig.session.opened(0);
  const properties = { reasonString: "we move", serverReference: "b.example" };
  const connack = { cmd: "connack", sessionPresent: false, reasonCode: 0x9d, properties };
  const error = assertThrows(() => rig.says(connack as Packet), BrokerError);
  assertStringIncludes(error.message, "the broker has moved (0x9d: we move: b.example)");
});

Deno.test("a broker that hangs up on CONNECT may be too old for MQTT 5", () => {
  const lost = new PeerError("LOST", "the other end closed the connection");
  assertStringIncludes(explain(lost, true, 5).message, "try --mqtt-version 3.1.1");
  for (const [isGreeting, version] of [[true, 4], [false, 5]] as [boolean, Version][]) {
    assertEquals(explain(lost, isGreeting, version), lost);
  }
});
