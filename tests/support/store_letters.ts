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
  for (const [i] of texts.entries()) record.addDeadLetter(`Error: ${i}`, 1_700_000_000_000 + i);
  await driver.commit();
  const withLetters = await rig.reopened();
  assertEquals(withLetters.states(), driver.states());
  const { inbox, state: { deadLetters } } = withLetters.record("1");
  assertEquals([inbox, deadLetters!.map(({ text }) => text)], [[], texts]);
  const [first, second, third] = deadLetters!;
  const date = 1_700_000_000_001;
  assertEquals(second, { number: 1, text: texts[1]!, error: "Error: 1", date });
  withLetters.record("1").removeDeadLetter(first!, true);
  withLetters.record("1").removeDeadLetter(third!, false);
  await withLetters.commit();
  const revived = await rig.reopened();
  assertEquals(revived.states(), withLetters.states());
  assertEquals(revived.record("1").inbox, ["bad"]);
  const [left, ...others] = revived.record("1").state.deadLetters!;
  assertEquals([left?.number, others], [1, []]);
  revived.record("1").removeDeadLetter(left!, false);
  await revived.commit();
  assertEquals((await rig.reopened()).record("1").state.deadLetters ?? [], []);
}
