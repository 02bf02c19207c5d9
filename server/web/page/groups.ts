/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** Rows in groups, each a body of the table: browsers skip groups that are out of sight, and have few to observe. */
import { make } from "../parts/dom.ts";

/** Most rows of a group; a larger one is split in two. */
const MOST = 20;

interface Shown {
  readonly element: HTMLElement;
}

interface Group<Row> {
  readonly element: HTMLElement;
  rows: Row[];
}

export class Groups<Row extends Shown> {
  readonly #table: HTMLElement;
  readonly #groups = new Map<Element, Group<Row>>();
  readonly #homes = new Map<Row, Group<Row>>();
  readonly #visible = new Set<Group<Row>>();
  readonly #observer: IntersectionObserver;

  /** @param appeared Called with rows that come into sight. */
  constructor(table: HTMLElement, appeared: (rows: readonly Row[]) => void) {
    this.#table = table;
    this.#observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const group = this.#groups.get(target);
        if (!group) continue; // it was removed meanwhile
        if (!isIntersecting) this.#visible.delete(group);
        else {
          this.#visible.add(group);
          appeared(group.rows);
        }
      }
    }, { rootMargin: "200px" });
  }

  /** The rows that may be in sight. */
  get visible(): Row[] {
    return [...this.#visible].flatMap(({ rows }) => rows);
  }

  /** @param before The row before it, if any. @param after The row after it, if any. */
  add(row: Row, before: Row | undefined, after: Row | undefined): void {
    const neighbour = before ?? after;
    const group = neighbour ? this.#homes.get(neighbour)! : this.#make(null);
    const place = before ? group.rows.indexOf(before) + 1 : 0;
    group.element.insertBefore(row.element, group.rows[place]?.element ?? null);
    group.rows.splice(place, 0, row);
    this.#homes.set(row, group);
    if (group.rows.length > MOST) this.#split(group);
  }

  remove(row: Row): void {
    const group = this.#homes.get(row)!;
    this.#homes.delete(row);
    group.rows = group.rows.filter((other) => other !== row);
    row.element.remove();
    if (group.rows.length > 0) return;
    this.#observer.unobserve(group.element);
    this.#groups.delete(group.element);
    this.#visible.delete(group);
    group.element.remove();
  }

  /** Most rows are added in order, so the first group is left nearly full. */
  #split(group: Group<Row>): void {
    const other = this.#make(group.element.nextSibling);
    other.rows = group.rows.splice(MOST - 5);
    for (const row of other.rows) {
      other.element.append(row.element);
      this.#homes.set(row, other);
    }
  }

  #make(before: Node | null): Group<Row> {
    const element = make("tbody", { role: "rowgroup" });
    const group: Group<Row> = { element, rows: [] };
    this.#groups.set(element, group);
    this.#table.insertBefore(element, before);
    this.#observer.observe(element);
    return group;
  }
}
