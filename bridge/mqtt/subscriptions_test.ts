/** What is subscribed while a session goes on, without a broker. */
import { assertEquals, assertThrows } from "@std/assert";
import { MqttRig } from "../../tests/support/mqtt_rig.ts";
import type { Packet, Version } from "./codec.ts";
import { BrokerError } from "./errors.ts";

const OWN = "h/+/+/set";

function both(name: string, test: (version: Version) => void): void {
  for (const version of [4, 5] as const) {
    Deno.test(`${name} (MQTT ${version === 4 ? "3.1.1" : 5})`, () => test(version));
  }
}

/** Connected, and what the bridge itself needs is granted. */
function connected(rig: MqttRig, sessionPresent = true): MqttRig {
  rig.connect({ sessionPresent });
  return granted(rig);
}

function granted(rig: MqttRig, ...codes: number[]): MqttRig {
  rig.says({ cmd: "suback", messageId: 65535, granted: codes.length > 0 ? codes : [2] });
  return rig;
}

function unsubscribed(rig: MqttRig, ...codes: number[]): void {
  const more = rig.version === 5 ? { granted: codes } : {};
  rig.says({ cmd: "unsuback", messageId: 65535, ...more } as Packet);
}

both(
  "a filter is stored before it is subscribed, and deleted after it is unsubscribed",
  (version) => {
    const rig = connected(new MqttRig(version));
    rig.session.want(new Set(["a/#", "b"]));
    assertEquals(rig.sent(), []);
    assertEquals(rig.settle(), ["subscribe a/# b"]);
    assertEquals(rig.sent(), ["subscribe 65535"]);
    granted(rig, 2, 2);
    assertEquals(rig.settle(), ["subscribed a/# b"]);
    rig.session.want(new Set(["b", "c"]));
    assertEquals(rig.sent(), []);
    assertEquals(rig.settle(), ["unsubscribe a/#"]);
    assertEquals(rig.sent(), ["unsubscribe 65535"]);
    unsubscribed(rig, 0);
    assertEquals(rig.sent(), []);
    assertEquals(rig.settle(), ["unsubscribed a/#"]);
    assertEquals(rig.settle(), ["subscribe c"]);
  },
);

both("what was granted is not subscribed again, unless the broker has forgotten it", (version) => {
  const filters = [{ filter: OWN, isGranted: false }, { filter: "a", isGranted: true }];
  for (const [isPresent, tasks] of [[true, []], [false, ["subscribe a"]]] as const) {
    const rig = new MqttRig(version, { filters });
    rig.session.want(new Set(["a"]));
    connected(rig, isPresent);
    assertEquals(rig.settle(), tasks as readonly string[]);
  }
});

both("a filter that is no longer wanted is unsubscribed after a restart", (version) => {
  const filters = [
    { filter: OWN, isGranted: false },
    { filter: "old/+/+/set", isGranted: false },
    { filter: "gone", isGranted: true },
    { filter: "kept", isGranted: true },
  ];
  const rig = new MqttRig(version, { filters });
  rig.session.want(new Set(["kept"]));
  connected(rig);
  assertEquals(rig.settle(), ["unsubscribe old/+/+/set gone"]);
  assertEquals(rig.sent(), ["unsubscribe 65535"]);
  unsubscribed(rig, 0, 0x11);
  assertEquals(rig.settle(), ["unsubscribed old/+/+/set gone"]);
  assertEquals([rig.settle(), rig.sent()], [[], []]);
});

both(
  "a refused filter does not end the connection, and is tried again with the next one",
  (version) => {
    const rig = connected(new MqttRig(version));
    rig.session.want(new Set(["a", "b", "c"]));
    rig.settle();
    rig.sent();
    granted(rig, 2, 0x80, 1);
    const why = "not b (unspecified error (0x80)) not c (it grants QoS 1 instead of QoS 2)";
    assertEquals(rig.settle(), [`subscribed a ${why}`]);
    assertEquals(rig.sent(), ["unsubscribe 65535"]); // c was granted, but not with QoS 2
    unsubscribed(rig, 0x11, 0);
    assertEquals(rig.settle(), ["unsubscribed b c"]);
    assertEquals([rig.settle(), rig.sent()], [[], []]);
    rig.session.closed(rig.now);
    connected(rig);
    assertEquals(rig.settle(), ["subscribe b c"]);
  },
);

Deno.test("a filter that cannot be unsubscribed is tried again with the next connection", () => {
  const filters = [{ filter: "old", isGranted: true }];
  const rig = connected(new MqttRig(5, { filters }));
  assertEquals(rig.settle(), ["unsubscribe old"]);
  assertEquals(rig.sent(), ["unsubscribe 65535"]);
  unsubscribed(rig, 0x87);
  assertEquals([rig.settle(), rig.sent()], [[], []]);
  rig.session.closed(rig.now);
  connected(rig);
  assertEquals(rig.sent(), ["unsubscribe 65535"]);
});

both("an outage in the middle of a subscription begins it again", (version) => {
  const rig = connected(new MqttRig(version));
  rig.session.want(new Set(["a"]));
  rig.session.closed(rig.now); // nobody has taken the task
  connected(rig);
  assertEquals(rig.settle(), ["subscribe a"]);
  rig.sent();
  rig.session.closed(rig.now); // before SUBACK
  connected(rig);
  assertEquals(rig.settle(), ["subscribe a"]);
  granted(rig, 2);
  rig.session.closed(rig.now); // before anybody has kept it
  connected(rig);
  assertEquals(rig.settle(), ["subscribe a"]);
  granted(rig, 2);
  assertEquals(rig.settle(), ["subscribed a"]);
  rig.session.closed(rig.now);
  connected(rig);
  assertEquals(rig.settle(), []);
});

both(
  "a filter whose unsubscription was interrupted, and that is wanted again, is subscribed again",
  (version) => {
    const filters = [{ filter: OWN, isGranted: false }, { filter: "a", isGranted: true }];
    const rig = connected(new MqttRig(version, { filters }));
    assertEquals(rig.settle(), ["unsubscribe a"]);
    assertEquals(rig.sent(), ["unsubscribe 65535"]); // the broker may have that
    rig.session.closed(rig.now);
    rig.session.want(new Set(["a"]));
    connected(rig);
    assertEquals(rig.settle(), ["subscribe a"]);
    assertEquals(rig.sent().at(-1), "subscribe 65535");
  },
);

Deno.test("a packet has eight filters at most, and fits the broker", () => {
  const all = Array.from({ length: 20 }, (_, n) => `f${n}`);
  const rig = connected(new MqttRig());
  rig.session.want(new Set(all));
  const sizes: number[] = [];
  for (let task; (task = rig.settle()[0]) !== undefined;) {
    if (!task.startsWith("subscribe ")) continue;
    const { length } = task.split(" ").slice(1);
    sizes.push(length);
    granted(rig, ...Array(length).fill(2));
  }
  assertEquals(sizes, [8, 8, 4]);
  const small = new MqttRig();
  small.connect({ properties: { maximumPacketSize: 100 } });
  granted(small);
  small.session.want(new Set(["x".repeat(40), "y"]));
  assertEquals(small.settle(), [`subscribe ${"x".repeat(40)}`]);
});

both("answers that fit no request end the connection by name", (version) => {
  const acts: ((rig: MqttRig) => void)[] = [
    (rig) => granted(rig, 2),
    (rig) => unsubscribed(rig, 0, 0),
    (rig) => rig.says({ cmd: "unsuback", messageId: 7, granted: [0] } as Packet),
  ];
  for (const act of acts) {
    const rig = connected(new MqttRig(version, { filters: [{ filter: "a", isGranted: true }] }));
    assertEquals(rig.settle(), ["unsubscribe a"]);
    assertEquals(rig.sent(), ["unsubscribe 65535"]);
    if (version === 4 && act === acts[1]) continue; // its UNSUBACK does not say for how many
    assertEquals(assertThrows(() => act(rig), BrokerError).code, "UNEXPECTED");
  }
  const early = connected(new MqttRig(version, { filters: [{ filter: "a", isGranted: true }] }));
  assertEquals(assertThrows(() => unsubscribed(early, 0), BrokerError).code, "UNEXPECTED");
});
