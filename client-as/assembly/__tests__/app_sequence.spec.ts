// The checker belongs to the examples; its tests are here because as-pect runs only this folder.
import { check, duplicates, missing, outOfOrder } from "../../examples/shared/sequence";

/** What the ids add to the counts: missing, duplicates, out of order. The first id must be a restart. */
function counts(ids: i32[]): string {
  const m = missing, d = duplicates, o = outOfOrder;
  for (let i = 0; i < ids.length; i++) check(ids[i]);
  return `${missing - m} ${duplicates - d} ${outOfOrder - o}`;
}

/** Enough ids one by one that a 0 after them is a restart, whatever came before. */
function many(): void {
  for (let id = 0; id < 40; id++) check(id);
}

describe("a checker of sequences", () => {
  test("counts nothing in a sequence without faults, wherever it starts", () => {
    check(1000);
    expect(counts([1001, 1002])).toBe("0 0 0");
    expect(counts([0, 1, 2, 3])).toBe("0 0 0");
  });

  test("counts as the server's does", () => {
    many();
    expect(counts([0, 1, 4])).toBe("2 0 0");
    many();
    expect(counts([0, 3, 1, 4])).toBe("1 0 1");
    many();
    expect(counts([0, 3, 2, 1])).toBe("0 0 2");
    many();
    expect(counts([0, 1, 33, 2])).toBe("30 0 1");
    many();
    expect(counts([0, 1, 34, 3])).toBe("31 0 1");
    many();
    expect(counts([0, 0, 1, 1])).toBe("0 2 0");
    many();
    expect(counts([0, 2, 1, 1])).toBe("0 1 1");
    many();
    expect(counts([0, 1000])).toBe("999 0 0");
    many();
    expect(counts([0, i32.MAX_VALUE, -1, i32.MIN_VALUE])).toBe("2147483646 0 0");
  });
});
