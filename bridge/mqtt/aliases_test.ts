/** Topic aliases: what they save, and that the broker can always resolve them. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MqttRig } from "../../tests/support/mqtt_rig.ts";
import { TopicAliases } from "./aliases.ts";
import { Decoder, type Packet } from "./codec.ts";
import { BrokerError } from "./errors.ts";

const LONG = `holdfast/${"a-device-with-a-long-name".padEnd(44, "x")}/channel`;

/** The publications that a session sends: topic and alias of each, and its bytes. */
class Reader {
  readonly #decoder = new Decoder(5);

  read(rig: MqttRig): [string, number | undefined, number][] {
    return rig.session.output().flatMap((bytes) =>
      [...this.#decoder.take(bytes)].flatMap(({ packet }) =>
        packet.cmd !== "publish"
          ? []
          : [[packet.topic, packet.properties?.topicAlias as number | undefined, bytes.length] as [
            string,
            number | undefined,
            number,
          ]]
      )
    );
  }
}

const row = (seq: number, topic = LONG) => ({ seq, topic, payload: "1", retain: false });

Deno.test("a topic of 61 bytes costs three bytes when it is sent again", () => {
  assertEquals(LONG.length, 61);
  const rig = new MqttRig(5);
  rig.connect({ properties: { topicAliasMaximum: 10 } });
  rig.session.publish([row(1), row(2)]);
  const [first, second] = new Reader().read(rig);
  assertEquals(first!.slice(0, 2), [LONG, 1]);
  assertEquals(second!.slice(0, 2), ["", 1]);
  assertEquals(first![2] - second![2], 61);
  const plain = new MqttRig(5);
  plain.connect();
  plain.session.publish([row(1)]);
  const [[, , bytes]] = new Reader().read(plain) as [[string, undefined, number]];
  assertEquals(bytes - second![2], 61 - 3);
});

Deno.test("an alias is valid for its connection: a repeat carries its topic", () => {
  const rig = new MqttRig(5);
  rig.connect({ properties: { topicAliasMaximum: 10 } });
  rig.session.publish([row(1), row(2)]);
  rig.sent();
  rig.session.closed(rig.now);
  rig.session.connecting(rig.now);
  rig.session.opened(rig.now);
  rig.sent();
  const properties = { topicAliasMaximum: 1 };
  rig.says({ cmd: "connack", sessionPresent: true, reasonCode: 0, properties } as Packet);
  rig.settle();
  assertEquals(new Reader().read(rig).slice(1).map(([topic, alias]) => [topic, alias]), [
    [LONG, 1],
    ["", 1],
  ]);
  rig.session.closed(rig.now);
  assertEquals(rig.connect().slice(3), ["publish 1 again", "publish 2 again"]);
});

Deno.test("no topic aliases are used over MQTT 3.1.1, or if the broker grants none", () => {
  for (const version of [4, 5] as const) {
    const rig = new MqttRig(version);
    rig.connect();
    rig.session.publish([row(1), row(2)]);
    assertEquals(rig.sent(), ["publish 1", "publish 2"]);
  }
});

Deno.test("a publication too large for the broker leaves no topic alias that it does not know", () => {
  const rig = new MqttRig(5, undefined, { window: 10 });
  rig.connect({ properties: { topicAliasMaximum: 10, maximumPacketSize: 100 } });
  rig.session.publish([{ ...row(1), payload: "x".repeat(50) }, row(2), row(3)]);
  assertEquals(new Reader().read(rig).map(([topic]) => topic), [LONG, ""]);
});

Deno.test("a broker that uses a topic alias though none is allowed is disconnected", () => {
  const rig = new MqttRig(5);
  rig.connect();
  const say = () => rig.delivers(1, "1", { properties: { topicAlias: 1 } } as Partial<Packet>);
  assertEquals(assertThrows(say, BrokerError).code, "UNEXPECTED");
});

type Publish = Extract<Packet, { cmd: "publish" }>;

/** Resolves publications as a broker does that grants `most` aliases. @returns the topics that were sent in full */
function follow(most: number, topics: readonly string[]): string[] {
  const aliases = new TopicAliases(most);
  const known = new Map<number, string>();
  return topics.filter((topic) => {
    const packet: Publish = {
      cmd: "publish",
      topic,
      payload: "",
      qos: 0,
      dup: false,
      retain: false,
    };
    const sent = aliases.shorten(packet) ?? packet;
    const alias = sent.properties?.topicAlias;
    assert(alias === undefined || (alias >= 1 && alias <= most), String(alias));
    if (alias !== undefined && sent.topic !== "") known.set(alias, sent.topic);
    assertEquals(sent.topic || known.get(alias!), topic);
    return sent.topic !== "";
  });
}

Deno.test("the broker can resolve the topic of every publication", () => {
  let state = 1;
  const random = (below: number) => (state = state * 48271 % 2147483647) % below;
  for (const most of [0, 1, 2, 3, 10]) {
    follow(most, Array.from({ length: 2000 }, () => `t${random(1 + random(20))}`));
  }
});

Deno.test("topics that are used once leave the aliases to those that are used often", () => {
  const states = Array.from({ length: 100 }, (_, n) => `state${n}`);
  const named = follow(2, [...states, "busy", "busy", "busy", ...states, "busy"]);
  assertEquals(named.filter((topic) => topic === "busy").length, 2);
});
