/** A simulated device's lines about topics of its own, in worlds with a bridge to a broker. */
import { inboxOf, KEPT, LIFE, NEWS, OWN } from "./mqtt_plan.ts";
import type { Random } from "../../bridge/testing/random.ts";
import type { ThingBooks } from "./thing_books.ts";

type Own = Pick<ThingBooks, "id" | "count" | "unique" | "changedThere">;

/** Its lines after a boot: the topics that it publishes to, and those that it listens to. */
export function ownStart(random: Random, books: Own): string[] {
  if (random.chance(0.2)) return [];
  const life = `${OWN}/${books.id}/${LIFE}`;
  const lines = [
    reports(books, `${OWN}/will`, `${life} gone${books.count()}`),
    reports(books, `${OWN}/welcome`, `${life} here${books.count()}`),
  ];
  return random.chance(0.5) ? lines : [...lines, hears(random, books)];
}

/** A line that it sends now and then. */
export function ownMessage(random: Random, books: Own): string {
  const { id } = books;
  switch (random.pick(["out", "out", "kept", "hears", "hears"])) {
    case "out":
      return books.unique(`!${OWN} ${OWN}/${id}/out ${books.count()}`);
    case "kept": {
      const said = { topic: `${OWN}/${id}/${KEPT}`, value: books.count(), retain: true };
      return books.unique(`!${OWN} ${JSON.stringify(said)}`);
    }
    default:
      return hears(random, books);
  }
}

function hears(random: Random, books: Own): string {
  const filters = [NEWS, inboxOf(books.id)].filter(() => random.chance(0.6));
  return books.unique(reports(books, OWN, filters));
}

function reports(books: Own, channel: string, value: unknown): string {
  books.changedThere(channel, value);
  return `=${channel} ${typeof value === "string" ? value : JSON.stringify(value)}`;
}
