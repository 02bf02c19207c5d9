/** The session without a broker: what it sends when, and what it refuses. */
import { assertEquals, assertThrows } from "@std/assert";
import { MqttRig, NONE, row } from "../../tests/support/mqtt_rig.ts";
import type { Packet, Version } from "./codec.ts";
import { BrokerError } from "./errors.ts";

const VERSIONS: readonly Version[] = [4, 5];

function both(name: string, test: (version: Version) => void): void {
  for (const version of VERSIONS) {
    Deno.test(`${name} (MQTT ${version === 4 ? "3.1.1" : 5})`, () => test(version));
  }
}

function fails(code: string, act: () => void): void {
  assertEquals(assertThrows(act, BrokerError).code, code);
}

both(
  "each step of a publication is safe in the store before the broker hears of it",
  (version) => {
    const rig = new MqttRig(version);
    assertEquals(rig.connect(), ["connect", "publish", "subscribe 65535"]);
    rig.session.publish([row(1)]);
    assertEquals(rig.sent(), ["publish 1"]);
    rig.answers("pubrec", 1);
    assertEquals(rig.sent(), []);
    assertEquals(rig.settle(), ["release 1"]);
    assertEquals(rig.sent(), ["pubrel 1"]);
    rig.answers("pubcomp", 1);
    assertEquals(rig.session.free, 3);
    assertEquals(rig.settle(), ["complete 1"]);
    assertEquals([rig.sent(), rig.session.free], [[], 4]);
  },
);

both("a message is safe with its id before PUBREC, and its id gone before PUBCOMP", (version) => {
  const rig = new MqttRig(version);
  rig.connect();
  rig.delivers(7);
  rig.delivers(7); // again, while the first one is on its way into the store
  assertEquals(rig.sent(), []);
  assertEquals(rig.settle(), ["deliver 7"]);
  assertEquals(rig.sent(), ["pubrec 7"]);
  rig.delivers(7);
  assertEquals([rig.settle(), rig.sent()], [[], ["pubrec 7"]]);
  rig.answers("pubrel", 7);
  rig.answers("pubrel", 7);
  assertEquals(rig.sent(), []);
  assertEquals(rig.settle(), ["forget 7"]);
  assertEquals(rig.sent(), ["pubcomp 7"]);
  rig.delivers(7); // another one, with an id that is free again
  assertEquals(rig.settle(), ["deliver 7"]);
});

both("whether a message is new is told by its id, not by its DUP flag", (version) => {
  const rig = new MqttRig(version);
  rig.connect();
  rig.delivers(7, "1", { dup: true }); // the first copy was lost with the connection
  assertEquals(rig.settle(), ["deliver 7"]);
  rig.delivers(7, "1", { dup: false });
  assertEquals([rig.settle(), rig.sent()], [[], ["pubrec 7", "pubrec 7"]]);
});

both("messages of QoS 0 and 1 are delivered as well", (version) => {
  const rig = new MqttRig(version);
  rig.connect();
  rig.delivers(0, "1", { qos: 0 });
  rig.delivers(3, "1", { qos: 1 });
  assertEquals(rig.settle(), ["deliver 0", "deliver 3"]);
  assertEquals(rig.sent(), ["puback 3"]);
});

both("after an outage each publication goes on where it was, in order", (version) => {
  const rig = new MqttRig(version);
  rig.connect();
  rig.session.publish([row(1), row(2), row(3)]);
  rig.sent();
  rig.answers("pubrec", 1);
  rig.settle();
  rig.answers("pubrec", 2); // nobody has taken this task
  rig.session.closed(rig.now);
  assertEquals(rig.connect().slice(1), [
    "publish",
    "subscribe 65535",
    "pubrel 1",
    "publish 2 again",
    "publish 3 again",
  ]);
  rig.answers("pubrec", 2);
  assertEquals(rig.settle(), ["release 2"]);
});

both("publications in the store go on after a restart of the process", (version) => {
  const inFlight = [{ ...row(8), isReleased: true }, { ...row(9), isReleased: false }];
  const rig = new MqttRig(version, { inFlight, taken: [5] });
  assertEquals(rig.connect().slice(3), ["pubrel 8", "publish 9 again"]);
  rig.delivers(5);
  assertEquals([rig.settle(), rig.sent()], [[], ["pubrec 5"]]);
});

both("a broker that has forgotten the session is sent all again, as new", (version) => {
  const inFlight = [{ ...row(8), isReleased: true }, { ...row(9), isReleased: false }];
  const rig = new MqttRig(version, { inFlight, taken: [5] });
  assertEquals(rig.connect({ sessionPresent: false }).slice(3), ["publish 8", "publish 9"]);
  rig.delivers(5);
  assertEquals(rig.settle(), ["deliver 5"]);
});

both(
  "if the broker has forgotten the session, and the connection is lost before that is stored, the next one begins it all the same",
  (version) => {
    const inFlight = [{ ...row(8), isReleased: true }];
    const rig = new MqttRig(version, { inFlight, taken: [5] });
    rig.session.connecting(0);
    rig.session.opened(0);
    rig.sent();
    rig.says({ cmd: "connack", sessionPresent: false, returnCode: 0, reasonCode: 0 });
    rig.session.closed(0); // nobody has taken the task
    rig.session.connecting(0);
    rig.session.opened(0);
    rig.sent();
    // The session is there by now: the connection before has made it.
    rig.says({ cmd: "connack", sessionPresent: true, returnCode: 0, reasonCode: 0 });
    assertEquals(rig.settle(), ["begin"]);
    assertEquals(rig.sent().slice(2), ["publish 8"]);
    rig.session.closed(0);
    assertEquals(rig.connect().slice(3), ["publish 8 again"]);
  },
);

both("a message right behind the CONNACK of a new session is a new one", (version) => {
  const rig = new MqttRig(version, { inFlight: [], taken: [5] });
  rig.session.connecting(0);
  rig.session.opened(0);
  rig.sent();
  rig.says({ cmd: "connack", sessionPresent: false, returnCode: 0, reasonCode: 0 });
  rig.delivers(5);
  assertEquals(rig.settle(), ["begin", "deliver 5"]);
});

both("no more publications are under way than the window allows", (version) => {
  const rig = new MqttRig(version, NONE, { window: 2 });
  rig.connect();
  assertEquals(rig.session.free, 2);
  rig.session.publish([row(1), row(2), row(3)]);
  assertEquals([rig.sent(), rig.session.free], [["publish 1", "publish 2"], 0]);
  for (const answer of ["pubrec", "pubcomp"] as const) {
    rig.answers(answer, 1);
    rig.settle();
  }
  assertEquals(rig.sent(), ["pubrel 1", "publish 3"]);
});

Deno.test("the broker's receive maximum and keepalive count, also for what was on its way", () => {
  const inFlight = [1, 2, 3].map((seq) => ({ ...row(seq), isReleased: false }));
  const rig = new MqttRig(5, { inFlight, taken: [] });
  const properties = { receiveMaximum: 1, serverKeepAlive: 5 };
  assertEquals(rig.connect({ properties }).slice(3), ["publish 1 again"]);
  assertEquals([rig.session.free, rig.session.deadline], [0, 5000]);
});

Deno.test("a broker whose receive maximum is below what is under way gets the releases first", () => {
  const inFlight = [1, 2, 3].map((seq) => ({ ...row(seq), isReleased: seq > 1 }));
  const rig = new MqttRig(5, { inFlight, taken: [] });
  const properties = { receiveMaximum: 1 };
  assertEquals(rig.connect({ properties }).slice(3), ["pubrel 2", "pubrel 3"]);
  for (const id of [2, 3]) {
    assertEquals(rig.sent(), []);
    rig.answers("pubcomp", id);
    rig.settle();
  }
  assertEquals(rig.sent(), ["publish 1 again"]);
});

both("only what may have been sent before is sent as a duplicate", (version) => {
  const rig = new MqttRig(version, NONE, { window: 1 });
  rig.connect();
  rig.session.publish([row(1), row(2)]);
  assertEquals(rig.sent(), ["publish 1"]);
  rig.session.closed(rig.now);
  assertEquals(rig.connect().slice(3), ["publish 1 again"]);
  rig.answers("pubrec", 1);
  rig.settle();
  rig.answers("pubcomp", 1);
  rig.settle();
  assertEquals(rig.sent(), ["pubrel 1", "publish 2"]);
});

both("a packet id is used again only when the publication that had it is done", (version) => {
  const rig = new MqttRig(version, { inFlight: [{ ...row(2), isReleased: false }], taken: [] });
  rig.connect();
  assertEquals(rig.session.end, 2 + 65_534);
  rig.session.publish([row(2 + 65_533)]);
  assertEquals(rig.sent(), ["publish 1"]);
  for (const answer of ["pubrec", "pubcomp"] as const) {
    rig.answers(answer, 2);
    rig.settle();
  }
  rig.sent();
  rig.session.publish([row(2 + 65_534)]);
  assertEquals(rig.sent(), ["publish 2"]);
});

Deno.test("a publication that is too large for the broker is given up by name", () => {
  const rig = new MqttRig();
  rig.connect({ properties: { maximumPacketSize: 50 } });
  rig.session.publish([row(1, "x".repeat(50)), row(2)]);
  assertEquals(rig.sent(), ["publish 2"]);
  const why = "it has 64 bytes, but the broker accepts at most 50";
  assertEquals(rig.settle(), [`complete 1 (${why})`]);
});

Deno.test("a publication that the broker refuses is given up by name", () => {
  const rig = new MqttRig();
  rig.connect();
  rig.session.publish([row(1)]);
  rig.answers("pubrec", 1, 0x87);
  assertEquals(rig.settle(), ["complete 1 (not authorized (0x87))"]);
});

Deno.test("it pings the broker, and disconnects when no answer comes", () => {
  const rig = new MqttRig();
  rig.connect();
  rig.sent();
  assertEquals(rig.session.deadline, 30_000);
  rig.session.timeout(rig.now = 30_000);
  assertEquals([rig.sent(), rig.session.deadline], [["pingreq"], 40_000]);
  rig.says({ cmd: "pingresp" });
  assertEquals(rig.session.deadline, 60_000);
  rig.session.timeout(rig.now = 60_000);
  fails("SILENT", () => rig.session.timeout(70_000));
});

Deno.test("pauses between connections grow to a minute, and are short again after a session", () => {
  const rig = new MqttRig();
  const pauses: number[] = [];
  for (let i = 0; i < 9; i++) {
    rig.session.connecting(rig.now);
    rig.session.closed(rig.now);
    pauses.push(rig.session.deadline! - rig.now);
    rig.now = rig.session.deadline!;
  }
  assertEquals(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60].map((s) => s * 1000));
  rig.connect();
  rig.session.closed(rig.now);
  assertEquals(rig.session.deadline! - rig.now, 1000);
});

Deno.test("a broker that accepts and says nothing is disconnected", () => {
  const rig = new MqttRig();
  rig.session.connecting(0);
  fails("SILENT", () => rig.session.timeout(10_000));
  rig.session.opened(5000);
  rig.session.timeout(14_999);
  fails("SILENT", () => rig.session.timeout(15_000));
});

const refusals: [string, Packet, Version][] = [
  ["a wrong password", { cmd: "connack", sessionPresent: false, returnCode: 4 }, 4],
  ["no authorization", { cmd: "connack", sessionPresent: false, reasonCode: 0x87 }, 5],
  [
    "no QoS 2",
    { cmd: "connack", sessionPresent: false, reasonCode: 0, properties: { maximumQoS: 1 } },
    5,
  ],
  [
    "no retained messages",
    {
      cmd: "connack",
      sessionPresent: false,
      reasonCode: 0,
      properties: { retainAvailable: false },
    },
    5,
  ],
];
for (const [what, packet, version] of refusals) {
  Deno.test(`${what} is a refusal by name`, () => {
    const rig = new MqttRig(version);
    rig.session.connecting(0);
    rig.session.opened(0);
    fails("REFUSED", () => rig.says(packet));
  });
}

both("a subscription that is not granted is a refusal", (version) => {
  const answers: [string, number, number[]][] = [
    ["REFUSED", 65535, [128]],
    ["REFUSED", 65535, [1]],
    ["UNEXPECTED", 65535, [2, 2]],
    ["UNEXPECTED", 1, [2]],
  ];
  for (const [code, messageId, granted] of answers) {
    const rig = new MqttRig(version);
    rig.connect();
    fails(code, () => rig.says({ cmd: "suback", messageId, granted }));
  }
  const rig = new MqttRig(version);
  rig.connect();
  rig.says({ cmd: "suback", messageId: 65535, granted: [2] });
  fails("UNEXPECTED", () => rig.says({ cmd: "suback", messageId: 65535, granted: [2] }));
});

both("answers to nothing that was sent do no harm", (version) => {
  const rig = new MqttRig(version);
  rig.connect();
  rig.answers("pubrel", 9);
  rig.answers("pubrec", 9);
  rig.answers("pubcomp", 9);
  const why = version === 5 ? " 0x92" : "";
  assertEquals(rig.sent(), [`pubcomp 9${why}`, `pubrel 9${why}`]);
  assertEquals(rig.settle(), []);
});

both("answers that come twice count once", (version) => {
  const rig = new MqttRig(version);
  rig.connect();
  rig.session.publish([row(1)]);
  rig.sent();
  rig.answers("pubrec", 1);
  rig.answers("pubrec", 1);
  assertEquals(rig.settle(), ["release 1"]);
  rig.answers("pubrec", 1);
  assertEquals(rig.sent(), ["pubrel 1", "pubrel 1"]);
  rig.answers("pubcomp", 1);
  rig.answers("pubcomp", 1);
  assertEquals(rig.settle(), ["complete 1"]);
});

both("a packet that the broker may not send now ends the connection by name", (version) => {
  const acts: ((rig: MqttRig) => void)[] = [
    (rig) => rig.answers("puback", 1), // nothing was sent with QoS 1
    (rig) => rig.answers("pubcomp", 1), // it was not released
    (rig) => {
      rig.delivers(3);
      rig.answers("pubrel", 3); // before PUBREC
    },
    (rig) => rig.says({ cmd: "pingresp" }),
    (rig) => rig.says({ cmd: "pingreq" }),
    (rig) => rig.says({ cmd: "connack", sessionPresent: true, returnCode: 0, reasonCode: 0 }),
    (rig) => rig.says({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "a", qos: 0 }] }),
  ];
  for (const act of acts) {
    const rig = new MqttRig(version);
    rig.connect();
    rig.session.publish([row(1)]);
    fails("UNEXPECTED", () => act(rig));
    rig.session.closed(rig.now);
    assertEquals(rig.connect().at(-1), "publish 1 again");
  }
});

Deno.test("a broker that exceeds the receive maximum is tolerated: mosquitto does", () => {
  const rig = new MqttRig(5);
  rig.connect();
  for (let id = 1; id <= 9; id++) rig.delivers(id);
  assertEquals(rig.settle().length, 9);
});

Deno.test("a broker of version 5 may end the connection, with its reason", () => {
  const rig = new MqttRig(5);
  rig.connect();
  const error = assertThrows(() => rig.says({ cmd: "disconnect", reasonCode: 0x8e }), BrokerError);
  assertEquals(
    error.message,
    "the broker has ended the connection: another client has the same id (0x8e)",
  );
});

both("whatever bytes come, they are read or refused by name", (version) => {
  let state = 1;
  const random = (below: number) => (state = state * 48271 % 2147483647) % below;
  for (let round = 0; round < 3000; round++) {
    const rig = new MqttRig(version);
    if (round % 3 > 0) rig.connect();
    rig.session.publish([row(1)]);
    const kind = [0x20, 0x30, 0x34, 0x50, 0x62, 0x70, 0x90, 0xd0, 0xe0][random(9)]!;
    const length = random(12);
    const body = Array.from({ length }, () => [0, 1, 2, 4, random(256)][random(5)]!);
    const bytes = round % 2 > 0 ? [kind, length, ...body] : [random(256), random(256), ...body];
    try {
      rig.gives(Uint8Array.from(bytes));
      rig.settle();
      rig.sent();
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
    }
  }
});

both("a broker that answers PINGREQ and nothing else is disconnected", (version) => {
  const owes: [string, (rig: MqttRig) => void][] = [
    ["SUBSCRIBE", () => {}],
    ["PUBLISH 1", (rig) => rig.says({ cmd: "suback", messageId: 65535, granted: [2] })],
    ["PUBREL 1", (rig) => {
      rig.says({ cmd: "suback", messageId: 65535, granted: [2] });
      rig.answers("pubrec", 1);
      rig.settle();
    }],
  ];
  const ping = (rig: MqttRig) => {
    rig.session.timeout(rig.now += 30_000);
    rig.says({ cmd: "pingresp" });
  };
  for (const [what, act] of owes) {
    const rig = new MqttRig(version);
    rig.connect();
    rig.session.publish([row(1)]);
    act(rig);
    ping(rig);
    const error = assertThrows(() => ping(rig), BrokerError);
    assertEquals([error.code, error.message.includes(what)], ["SILENT", true], error.message);
  }
  const rig = new MqttRig(version);
  rig.connect();
  rig.session.publish([row(1), row(2)]);
  rig.says({ cmd: "suback", messageId: 65535, granted: [2] });
  ping(rig);
  rig.answers("pubrec", 1); // it is slow, and goes on
  rig.settle();
  for (const id of [1, 2]) {
    ping(rig);
    rig.answers(id === 1 ? "pubcomp" : "pubrec", id);
    rig.settle();
  }
});

Deno.test("a broker can neither lengthen the keepalive nor switch it off", () => {
  for (const serverKeepAlive of [0, 65_535]) {
    const rig = new MqttRig(5);
    rig.connect({ properties: { serverKeepAlive } });
    assertEquals(rig.session.deadline, 30_000);
  }
});

Deno.test("the broker cannot answer a request that it has not received yet", () => {
  const rig = new MqttRig();
  rig.connect();
  rig.session.timeout(rig.now = 30_000);
  rig.session.taken(39_000);
  rig.session.timeout(48_999);
  fails("SILENT", () => rig.session.timeout(49_000));
});
