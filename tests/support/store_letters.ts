/**
 * Tests of dead letters for every store.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { StoreRig } from "./store_place.ts";

export async function keepsLetters(rig: StoreRig): Promise<void> {
  const driver = await rig.driver();
  const record = await driver.begin("1");
  const texts = ["bad", `\0"'\u{1F600}`, "worse"];
  for (const text of texts) record.receive(text);
  await driver.commit();
  for (const [i] of texts.entries()) record.bury(`Error: ${i}`, 1_700_000_000_000 + i);
  await driver.commit();
  const buried = await rig.reopened();
  assertEquals(buried.states(), driver.states());
  const { inbox, state: { deadLetters } } = buried.record("1");
  assertEquals([inbox, deadLetters!.map(({ text }) => text)], [[], texts]);
  const [first, second, third] = deadLetters!;
  const date = 1_700_000_000_001;
  assertEquals(second, { number: 1, text: texts[1]!, error: "Error: 1", date });
  buried.record("1").exhume(first!, true);
  buried.record("1").exhume(third!, false);
  await buried.commit();
  const exhumed = await rig.reopened();
  assertEquals(exhumed.states(), buried.states());
  assertEquals(exhumed.record("1").inbox, ["bad"]);
  const [left, ...others] = exhumed.record("1").state.deadLetters!;
  assertEquals([left?.number, others], [1, []]);
  exhumed.record("1").exhume(left!, false);
  await exhumed.commit();
  assertEquals((await rig.reopened()).record("1").state.deadLetters ?? [], []);
}
