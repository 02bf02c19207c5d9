/** Parts of the firmware that need no chip: the proofs' HMAC, checksums, words, and the policy for WiFi. */
import { assertEquals } from "@std/assert";
import { createHmac } from "node:crypto";
import { crc32 } from "../../bridge/formats/crc32.ts";
import { Random } from "../support/random.ts";
import { toolTest } from "../support/tools.ts";
import { unitProgram } from "./unit_program.ts";

const ask = unitProgram("units.c", ["hmac.c", "crc32.c", "wifi_policy.c", "bytes.c", "words.c"]);

const hex = (text: string) => new TextEncoder().encode(text).toHex();

/** RFC 4231, test cases 1 to 4, 6 and 7. */
const RFC4231: [key: string, data: string, digest: string][] = [
  [
    "0b".repeat(20),
    hex("Hi There"),
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
  ],
  [
    hex("Jefe"),
    hex("what do ya want for nothing?"),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  [
    "aa".repeat(20),
    "dd".repeat(50),
    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
  ],
  [
    "0102030405060708090a0b0c0d0e0f10111213141516171819",
    "cd".repeat(50),
    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
  ],
  [
    "aa".repeat(131),
    hex("Test Using Larger Than Block-Size Key - Hash Key First"),
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  ],
  [
    "aa".repeat(131),
    hex(
      "This is a test using a larger than block-size key and a larger than block-size data. " +
        "The key needs to be hashed before being used by the HMAC algorithm.",
    ),
    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
  ],
];

toolTest("HMAC-SHA256: RFC 4231, and any lengths", { gcc: "gcc" }, async ({ gcc }) => {
  const random = new Random(1);
  const lengths = [[0, 0], [0, 1], [32, 55], [32, 56], [32, 63], [32, 64], [64, 65], [65, 119], [
    128,
    300,
  ]];
  const others = lengths.map(([k, d]) => [random.bytes(k!), random.bytes(d!)] as const);
  const cases = [
    ...RFC4231.map(([k, d]) => [k, d]),
    ...others.map(([k, d]) => [k.toHex(), d.toHex()]),
  ];
  // An empty key cannot be written in a line; "-", which is not a hex digit, stands for it.
  const answers = await ask(gcc, cases.map(([k, d]) => `hmac ${k || "-"} ${d || "-"}`));
  const expected = [
    ...RFC4231.map(([, , digest]) => digest),
    ...others.map(([key, data]) => createHmac("sha256", key).update(data).digest("hex")),
  ];
  assertEquals(answers, expected);
});

toolTest("CRC-32 in C gives the same as in TypeScript", { gcc: "gcc" }, async ({ gcc }) => {
  const random = new Random(2);
  const pieces = [1, 2, 3, 4, 100, 1000].map((length) => random.bytes(length));
  const answers = await ask(gcc, [
    "crc 313233343536373839",
    ...pieces.map((p) => `crc ${p.toHex()}`),
  ]);
  assertEquals(answers, ["cbf43926", ...pieces.map((p) => crc32(p).toString(16).padStart(8, "0"))]);
});

toolTest("bytes are copied in words to any place, also when they overlap", {
  gcc: "gcc",
}, async ({ gcc }) => {
  const random = new Random(3);
  const cases = [[0, 1], [1, 1], [2, 5], [3, 8], [7, 57], [1, 63], [0, 64], [63, 1]].map((
    [at, length],
  ) => [at!, random.bytes(length!)] as const);
  const answers = await ask(gcc, cases.map(([at, bytes]) => `words ${at} ${bytes.toHex()}`));
  const expected = cases.map(([at, bytes]) => {
    const memory = new Uint8Array(64).fill(0xee);
    memory.set(bytes, at);
    const written = memory.toHex();
    memory.copyWithin(0, at, at + bytes.length);
    return `${written} ${memory.toHex()}`;
  });
  assertEquals(answers, expected);
});

/**
 * Plays events, with the policy's expected reactions; "down+ 20": a further event follows before it is asked.
 */
async function tell(gcc: string, story: [happens: string, does?: string][]): Promise<void> {
  const answers = await ask(gcc, story.map(([happens]) => happens));
  assertEquals(answers, story.flatMap(([, does]) => does ?? []));
}

toolTest("WiFi: joins at once, and does nothing while it is up, however long the server is away", {
  gcc: "gcc",
}, async ({ gcc }) => {
  await tell(gcc, [
    ["start 0", "join wait 15000"],
    ["up 900", "wait 60000"],
    // The server's host answers with a refusal, so something is heard.
    ...Array.from(
      { length: 40 },
      (_, n): [string, string] => ["heard " + (1000 + n), "wait 60000"],
    ),
    ["at 4000000", "wait 60000"],
  ]);
});

toolTest("WiFi: after a loss it is left and joined at once; then with pauses of 0.5 to 8 s", {
  gcc: "gcc",
}, async ({ gcc }) => {
  await tell(gcc, [
    ["start 0", "join wait 15000"],
    ["up 100", "wait 60000"],
    ["heard 150", "wait 60000"],
    ["down 5000", "leave join wait 15000"],
    ["down 5100", "leave wait 500"],
    ["at 5599", "wait 1"],
    ["at 5600", "join wait 15000"],
    ["down 5700", "leave wait 1000"],
    ["at 6700", "join wait 15000"],
    ["down 6800", "leave wait 2000"],
    ["at 8800", "join wait 15000"],
    ["down 8900", "leave wait 4000"],
    ["at 12900", "join wait 15000"],
    ["down 13000", "leave wait 8000"],
    ["at 21000", "join wait 15000"],
    ["down 21100", "leave wait 8000"],
    ["at 29100", "join wait 15000"],
    ["up 29200", "wait 60000"],
    ["heard 29300", "wait 60000"], // now it has proven itself, and the pauses start over
    ["down 30000", "leave join wait 15000"],
  ]);
});

toolTest(
  "WiFi: a join without a result is given up after 15 s",
  { gcc: "gcc" },
  async ({ gcc }) => {
    await tell(gcc, [
      ["start 0", "join wait 15000"],
      ["at 14999", "wait 1"],
      ["at 15000", "give-up join wait 15000"],
      ["at 30000", "give-up wait 500"],
      ["up 30100", "wait 400"], // too late: it was left already
      ["in 30200", "wait 300"],
      ["at 30500", "join wait 15000"],
    ]);
  },
);

toolTest(
  "WiFi: a network that admits the board gets the same time once more to assign an address",
  { gcc: "gcc" },
  async ({ gcc }) => {
    await tell(gcc, [
      ["start 0", "join wait 15000"],
      ["in 14000", "wait 15000"],
      ["in 20000", "wait 9000"],
      ["at 28999", "wait 1"],
      ["at 29000", "give-up join wait 15000"],
      ["in 30000", "wait 15000"],
      ["up 44000", "wait 60000"],
      ["in 44100", "wait 60000"],
      ["down 45000", "leave wait 500"],
    ]);
  },
);

toolTest(
  "WiFi: a quick join with the old access point and address falls back to a normal one if it fails",
  { gcc: "gcc" },
  async ({ gcc }) => {
    const hurried: [string, string?][] = [["start+ 0"], ["hurry 0", "join wait 3000"]];
    await tell(gcc, [
      ...hurried,
      ["down 200", "leave join wait 15000"], // this is not a failure, so there is no pause after the next one
      ["down 400", "leave join wait 15000"],
      ["down 600", "leave wait 500"],
    ]);
    await tell(gcc, [
      ...hurried,
      ["in 2000", "wait 3000"],
      ["at 5000", "give-up join wait 15000"],
      ["up 6000", "wait 60000"],
      ["silence 7000", "wait 60000"],
    ]);
    await tell(gcc, [...hurried, ["up 300", "wait 60000"], [
      "silence 1000",
      "leave join wait 15000",
    ]]);
    await tell(gcc, [
      ...hurried,
      ["up 300", "wait 60000"],
      ["heard 400", "wait 60000"], // it works: from now on it is a WiFi like any other
      ["silence 1000", "wait 60000"],
    ]);
  },
);

toolTest(
  "WiFi: if nothing answers on it, it is rejoined, less often each time",
  { gcc: "gcc" },
  async ({ gcc }) => {
    const silences = (from: number, count: number): [string, string][] =>
      Array.from({ length: count }, (_, n) => [`silence ${from + n}`, "wait 60000"]);
    await tell(gcc, [
      ["start 0", "join wait 15000"],
      ["up 100", "wait 60000"],
      ...silences(1000, 5),
      ["silence 2000", "leave join wait 15000"],
      ["up 2100", "wait 60000"],
      ...silences(3000, 11),
      ["silence 4000", "leave join wait 15000"],
      ["up 4100", "wait 60000"],
      ...silences(5000, 20),
      ["heard 6000", "wait 60000"], // it was the server: the count starts over
      ...silences(7000, 5),
      ["silence 8000", "leave join wait 15000"],
    ]);
  },
);

toolTest(
  "WiFi: when stopped it is left, and nothing more is done; the clock may wrap",
  { gcc: "gcc" },
  async ({ gcc }) => {
    await tell(gcc, [
      ["start 4294967000", "join wait 15000"],
      ["at 4294967295", "wait 14705"],
      ["at 100", "wait 14604"],
      ["up 200", "wait 60000"],
      ["stop 300", "leave wait 60000"],
      ["down 400", "wait 60000"],
      ["silence 500", "wait 60000"],
      ["start 600", "join wait 15000"],
    ]);
  },
);

toolTest(
  "WiFi: a start or stop before it has left: it still leaves before it joins another",
  { gcc: "gcc" },
  async ({ gcc }) => {
    await tell(gcc, [
      ["start 0", "join wait 15000"],
      ["up 10", "wait 60000"],
      ["down+ 20"], // it leaves, and pauses
      ["start 21", "leave join wait 15000"],
      ["down+ 30"],
      ["stop 31", "leave wait 60000"],
      ["start 40", "join wait 15000"],
      ["stop+ 41"],
      ["start 42", "leave join wait 15000"],
      ["start+ 50"],
      ["stop+ 51"],
      ["start 52", "leave join wait 15000"],
    ]);
  },
);
