import { element, integer, is, member, read, valueLength, valuePtr } from "../json";

/** Memory for the texts. The bytes before and after a text must not be read. */
const PAGE: usize = memory.data(256);

/** Reads a text with digits on both sides of it. */
function look(text: string): void {
  memory.fill(PAGE, 0x31, 256);
  const bytes = String.UTF8.encode(text);
  memory.copy(PAGE + 16, changetype<usize>(bytes), bytes.byteLength);
  read(PAGE + 16, bytes.byteLength);
}

/** The n-th element, or "-" if there is none. */
function elementOf(text: string, n: i32): string {
  look(text);
  return element(n) ? String.UTF8.decodeUnsafe(valuePtr(), valueLength()) : "-";
}

function memberOf(text: string, name: string): string {
  look(text);
  return member(name) ? String.UTF8.decodeUnsafe(valuePtr(), valueLength()) : "-";
}

function integerOf(text: string): i32 {
  look(text);
  return integer(-99);
}

describe("an element", () => {
  test("is found by its number", () => {
    expect(elementOf("[10,20,30]", 0)).toBe("10");
    expect(elementOf("[10,20,30]", 2)).toBe("30");
    expect(elementOf(" [ 10 , \"two\"\t, true ] ", 1)).toBe("two");
    expect(elementOf("[1.5,-1e+5,null]", 1)).toBe("-1e+5");
    expect(elementOf("[\"\"]", 0)).toBe("");
  });

  test("beyond the end is not found", () => {
    expect(elementOf("[10,20,30]", 3)).toBe("-");
    expect(elementOf("[10]", -1)).toBe("-");
    expect(elementOf("[]", 0)).toBe("-");
    expect(elementOf("[ ]", 0)).toBe("-");
  });

  test("may be a string with punctuation and escapes in it", () => {
    expect(elementOf("[\"a,]\",\"b\\\"c\",\"\\\\\",7]", 0)).toBe("a,]");
    expect(elementOf("[\"a,]\",\"b\\\"c\",\"\\\\\",7]", 1)).toBe("b\\\"c");
    expect(elementOf("[\"a,]\",\"b\\\"c\",\"\\\\\",7]", 2)).toBe("\\\\");
    expect(elementOf("[\"a,]\",\"b\\\"c\",\"\\\\\",7]", 3)).toBe("7");
  });

  test("of a text that is not a flat array is not found", () => {
    const bad = [
      "", " ", "[", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1]]", "[1] 2", "[1 2]", "1]", "1", "]",
      "[[1]]", "[[1],2]", "[1,[2]]", "[{}]", "[{\"a\":1}]", "[1,{\"a\":1}]", "{1}", "{\"a\":1}",
      "[1}", "{1]", "[1:2]", "[\"]", "[\"a]", "[\"a\\", "[\"a\\\"]", "[\"a\"b]", "[1,\"", "[1,\"\\",
    ];
    for (let i = 0; i < bad.length; i++) {
      expect(elementOf(bad[i], 0)).toBe("-", bad[i]);
      expect(integer(-99)).toBe(-99, bad[i]);
      expect(valueLength()).toBe(0, bad[i]);
    }
  });
});

describe("a member", () => {
  test("is found by its name", () => {
    const text = "{\"a\":1, \"led\" : \"on\" ,\"b\":-3}";
    expect(memberOf(text, "a")).toBe("1");
    expect(memberOf(text, "led")).toBe("on");
    expect(memberOf(text, "b")).toBe("-3");
    expect(memberOf("{\"\":1}", "")).toBe("1");
  });

  test("with another name is not found", () => {
    expect(memberOf("{\"a\":1}", "b")).toBe("-");
    expect(memberOf("{\"a\":1}", "aa")).toBe("-");
    expect(memberOf("{\"a\":1}", "")).toBe("-");
    expect(memberOf("{\"a\":\"b\"}", "b")).toBe("-");
    expect(memberOf("{}", "a")).toBe("-");
  });

  test("given twice has its second value", () => {
    expect(memberOf("{\"a\":1,\"a\":2}", "a")).toBe("2");
  });

  test("of a text that is not a flat object is not found", () => {
    const bad = [
      "", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{\"a\"}", "{\"a\",1}",
      "{a:1}", "{\"a\":}", "{:1}", "{\"a\":1]", "[\"a\":1]", "[\"a\",1]", "{\"a\":{\"a\":1}}",
      "{\"b\":{\"a\":1}}", "{\"a\":[1]}", "{\"a\":1}}", "{\"a\" 1}", "{\"a\"1:1}", "{\"a\":1 2}",
      "{\"a\":\"1}", "a", "\"a\":1",
    ];
    for (let i = 0; i < bad.length; i++) {
      expect(memberOf(bad[i], "a")).toBe("-", bad[i]);
      expect(valueLength()).toBe(0, bad[i]);
    }
  });
});

describe("any part of a text", () => {
  test("is read to its end and no further", () => {
    const text = "{\"a\":\"\\\"x\",\"b\":[1,-2]}";
    const bytes = String.UTF8.encode(text);
    // At the very end of the memory, reading one byte more would trap.
    const end = <usize>memory.size() << 16;
    const saved = new StaticArray<u8>(64);
    memory.copy(changetype<usize>(saved), end - 64, 64);
    for (let from = 0; from < text.length; from++) {
      for (let to = from; to <= text.length; to++) {
        memory.copy(end - (to - from), changetype<usize>(bytes) + from, to - from);
        read(end - (to - from), to - from);
        integer(0);
        is("a");
        element(1);
        integer(0);
        member("a");
        integer(0);
      }
    }
    memory.copy(end - 64, changetype<usize>(saved), 64);
  });
});

describe("an integer", () => {
  test("may be any i32, and nothing else", () => {
    expect(integerOf("0")).toBe(0);
    expect(integerOf("-0")).toBe(0);
    expect(integerOf("42")).toBe(42);
    expect(integerOf("-42")).toBe(-42);
    expect(integerOf("2147483647")).toBe(i32.MAX_VALUE);
    expect(integerOf("-2147483648")).toBe(i32.MIN_VALUE);
    const bad = [
      "", "-", "--1", "+1", "1.5", "1e3", "true", "null", " 1", "1 ", "1-", "0x10", "2147483648",
      "-2147483649", "4294967296", "4294967297", "21474836480", "99999999999999999999",
    ];
    for (let i = 0; i < bad.length; i++) expect(integerOf(bad[i])).toBe(-99, bad[i]);
  });

  test("may be in quotes", () => {
    look("[\"-5\"]");
    element(0);
    expect(integer(0)).toBe(-5);
  });
});

describe("is", () => {
  test("compares with a literal", () => {
    look("[\"on\",true]");
    element(0);
    expect(is("on")).toBe(true);
    expect(is("o")).toBe(false);
    expect(is("one")).toBe(false);
    expect(is("ON")).toBe(false);
    element(1);
    expect(is("true")).toBe(true);
    element(2);
    expect(is("true")).toBe(false);
  });

  test("compares the whole text if no element was selected", () => {
    look("on");
    expect(is("on")).toBe(true);
  });

  test("does not confuse a character with the bytes of another", () => {
    look("ä");
    expect(is("ä")).toBe(false); // not ASCII: never equal
    expect(is("Ã¤")).toBe(false); // the same two bytes, read as Latin-1
    look("a");
    expect(is("\u0161")).toBe(false); // equal in its low byte
  });
});
