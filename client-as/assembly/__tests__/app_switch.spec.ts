import { debounce } from "../debounce";

/** The level after each of these samples, from a switch at rest at 1. */
function levels(samples: string): string {
  let state = 1;
  let seen = "";
  for (let i = 0; i < samples.length; i++) {
    state = debounce(state, samples.charCodeAt(i) & 1);
    seen += state & 1 ? "1" : "0";
  }
  return seen;
}

describe("debounce", () => {
  test("passes on a level seen four times in a row", () => {
    expect(levels("10000011111")).toBe("11110000011");
    expect(levels("00001000011110000")).toBe("11100000000011110");
  });

  test("ignores shorter changes", () => {
    expect(levels("1000101001110001")).toBe("1111111111111111");
  });
});
