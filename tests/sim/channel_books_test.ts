/** The books of channels, in rare orders of events. */
import { assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { Books } from "./books.ts";
import { ChannelBooks } from "./channel_books.ts";
import { Disk } from "./disk.ts";

/** Books of a device to which a broker has sent "mine", and then somebody has set "later". */
function published() {
  const disk = new Disk();
  const books = new ChannelBooks();
  const thing = books.add("A", new Books("A", false, 3, () => 0));
  /** A setting becomes the desired one, together with what else is in the current commit. */
  const desires = (text: string, by: string) => {
    thing.memo("=fan", JSON.stringify({ desired: { text, at: 0, by } }));
  };
  const commit = () => books.committed(disk);
  thing.published("fan", "mine");
  desires("mine", "mqtt");
  commit();
  thing.sets("fan", "later", {});
  desires("later", "server");
  commit();
  const posted = { set: "fan", value: "posted", options: {} };
  /** Mail is posted, and ends in the current commit. */
  const mail = () => {
    thing.sets("fan", "posted", {});
    thing.posted(posted, 1);
    commit();
    thing.mailEnds(posted);
  };
  return { desires, commit, mail };
}

Deno.test("a posted setting is replaced at once by one that a broker sends again, in the same commit", () => {
  const { desires, commit, mail } = published();
  mail();
  desires("mine", "mqtt");
  commit();
});

Deno.test("a posted setting of which nothing becomes safe is found", () => {
  const { commit, mail } = published();
  mail();
  assertThrows(commit, Violation, "was posted, and is not set");
});
