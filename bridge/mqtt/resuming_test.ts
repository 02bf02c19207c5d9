/** How a session handles answers between CONNACK and the commit after which it continues. */
import { assertEquals } from "@std/assert";
import { MqttRig, row } from "../../tests/support/mqtt_rig.ts";

for (const version of [4, 5] as const) {
  const name =
    "answers that come before the session is resumed do not count: they are asked for again";
  Deno.test(`${name} (MQTT ${version === 4 ? "3.1.1" : 5})`, () => {
    const inFlight = [{ ...row(8), isReleased: true }, { ...row(9), isReleased: false }];
    const rig = new MqttRig(version, { inFlight, taken: [] });
    rig.connect();
    rig.session.closed(rig.now);
    rig.session.connecting(rig.now);
    rig.session.opened(rig.now);
    rig.sent();
    rig.says({ cmd: "connack", sessionPresent: true, reasonCode: 0, returnCode: 0 });
    rig.answers("pubcomp", 8);
    rig.answers("pubrec", 9);
    assertEquals(rig.settle(), ["resume"]);
    assertEquals(rig.sent().slice(2), ["pubrel 8", "publish 9 again"]);
    rig.answers("pubcomp", 8);
    rig.answers("pubrec", 9);
    assertEquals(rig.settle(), ["complete 8", "release 9"]);
  });
}
