/** Deploys of a server whose store is an old copy. */
import { assertEquals } from "@std/assert";
import { image, Rig } from "../../tests/support/deploy_rig.ts";
import { hashOf } from "../../tests/support/model_firmware.ts";
import { parseDeployWord } from "../protocol/firmware_lines.ts";

/** A device with an application on trial, and what puts the server back to this moment. */
function onTrial(): { rig: Rig; putBack: () => void } {
  const rig = new Rig();
  rig.connect();
  rig.begin(image(100, 1));
  rig.carry();
  rig.link.lose();
  rig.device.boot();
  rig.connect();
  const memos = new Map(rig.record.memos);
  const putBack = () => {
    for (const [key, text] of memos) rig.record.setMemo(key, text);
    rig.restart();
  };
  return { rig, putBack };
}

/** The device connects, and first sends a message of an earlier connection. */
function connectSaying(rig: Rig, waited: string): void {
  const { device } = rig;
  const { up } = device;
  device.up = () => [waited, ...up.call(device)];
  rig.connect();
  device.up = up;
}

Deno.test("a server on an old copy of its store waits while the device has a newer application on trial, and then offers the one that it knows again", () => {
  const { rig, putBack } = onTrial();
  rig.run();
  rig.device.pass();
  rig.begin(image(100, 2));
  rig.carry();
  rig.link.lose();
  rig.device.boot(); // the newer one is on trial
  putBack();
  rig.connect();
  rig.carry();
  assertEquals(rig.phase, "waits", "the device is busy");
  const kept = rig.device.pass();
  rig.deviceSays(kept);
  rig.deployment.told(parseDeployWord("k", [kept.slice(3)])!);
  rig.run();
  assertEquals([rig.phase, rig.device.runs.hash], ["kept", hashOf(image(100, 1))]);
});

Deno.test("a server on an old copy of its store sends an application again that was replaced since, also to a device that first says that it has kept the newer one", () => {
  const { rig, putBack } = onTrial();
  const { device } = rig;
  device.pass();
  rig.begin(image(100, 2));
  rig.carry();
  rig.link.lose();
  device.boot();
  const kept = device.pass(); // it has no link
  putBack();
  connectSaying(rig, kept);
  rig.run();
  assertEquals([rig.phase, device.runs.hash], ["kept", hashOf(image(100, 1))]);
});

Deno.test("a server on an old copy of its store sends an application again that fell back since, also after an answer to an offer that it has forgotten", () => {
  const { rig, putBack } = onTrial();
  const { device } = rig;
  device.fail("trap");
  rig.run();
  assertEquals(rig.phase, "fell_back");
  rig.begin(image(100, 2));
  const { hears } = device;
  let answers: string[] = [];
  device.hears = (text) => {
    answers = hears.call(device, text);
    return []; // they do not arrive on this connection
  };
  rig.carry();
  device.hears = hears;
  assertEquals(answers, [`\x02o ${hashOf(image(100, 2)).slice(0, 8)} 0`]);
  putBack();
  connectSaying(rig, answers[0]!);
  rig.run();
  assertEquals([rig.phase, device.runs.hash], ["kept", hashOf(image(100, 1))]);
});
