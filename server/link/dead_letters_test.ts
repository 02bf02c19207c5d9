import { assertEquals, assertThrows } from "@std/assert";
import { SessionRig } from "../../tests/support/session_rig.ts";
import { LocalError } from "../protocol/errors.ts";
import { addDeadLetter, removeDeadLetter } from "./dead_letters.ts";

function textsOf({ record }: SessionRig): string[] {
  return (record.state.deadLetters ?? []).map(({ text }) => text);
}

Deno.test("dead letters: their number and their text are limited", () => {
  const many = SessionRig.up({ deadLetters: 2 });
  many.hears("00a\n01b\n02c\n");
  many.session.transmit(0);
  const adds = (link: SessionRig) => addDeadLetter(link.session, "", 0);
  assertEquals([adds(many), adds(many), adds(many)], [true, true, false]);
  assertEquals([textsOf(many), many.record.inbox], [["a", "b"], ["c"]]);
  const long = SessionRig.up({ queueText: 10 });
  long.hears("00aaaa\n01bbbbbb\n");
  assertEquals([adds(long), adds(long)], [true, true], "up to the bound, and one beyond it");
  long.hears("02c\n");
  assertEquals([adds(long), textsOf(long)], [false, ["aaaa", "bbbbbb"]]);
});

Deno.test("dead letters: an error is cut to 200 characters", () => {
  const link = SessionRig.up();
  link.hears("00a\n");
  addDeadLetter(link.session, "e".repeat(201), 77);
  const [letter] = link.record.state.deadLetters!;
  assertEquals(letter, { number: 0, text: "a", error: "e".repeat(200), date: 77 });
});

Deno.test("dead letters: the chosen one is revived if there is room, and no other", () => {
  const link = SessionRig.up({ inbox: 2 });
  const codeOf = (number: number, revives: boolean) =>
    assertThrows(() => removeDeadLetter(link.session, number, revives), LocalError).code;
  assertEquals(codeOf(0, true), "BAD_ARGUMENT", "there has never been one");
  link.hears("00a\n01b\n");
  addDeadLetter(link.session, "", 0);
  addDeadLetter(link.session, "", 0);
  link.hears("02c\n03d\n");
  assertEquals([codeOf(1, true), codeOf(2, false)], ["INBOX_FULL", "BAD_ARGUMENT"]);
  removeDeadLetter(link.session, 1, false);
  assertEquals([textsOf(link), link.record.inbox], [["a"], ["c", "d"]]);
  link.session.shift();
  removeDeadLetter(link.session, 0, true);
  assertEquals([textsOf(link), link.record.inbox], [[], ["d", "a"]]);
});
