/** After an outage the LED is right again, although a stock board does not ask. */
import { assertEquals } from "@std/assert";
import { Scene } from "../../tests/support/scene.ts";
import { until } from "../../tests/support/wait.ts";
import { remote } from "./remote.ts";

Deno.test("remote: a stock board gets the latest level when it is back, without asking", async () => {
  const printed: string[] = [];
  await using scene = await Scene.start({ app: remote({ print: (line) => printed.push(line) }) });
  const [, tx] = await scene.device("tx");
  const [device, rx] = await scene.device("rx");
  await tx.say("00[1]\n");
  await until(() => rx.lines.some((line) => line.endsWith("[1]")));
  rx.close();
  await until(() => !device.connected);
  await tx.say("01[0]\n02[1]\n03[0]\n");
  await tx.hears("01", "02", "03");
  assertEquals(printed, ["rx: sent [1]"]);
  const [, back] = await scene.device("rx");
  await until(() => back.lines.length > 0);
  assertEquals(back.lines.map((line) => line.slice(2)), ["[0]"], "the latest, and only that");
  await back.say("00latest\n");
  await until(() => back.lines.length > 2);
  assertEquals(back.lines.slice(1).map((line) => line.slice(2)).toSorted(), ["", "[0]"]);
});
