/**
 * Records what the real `pb_link` does on its wires, for `vectors_test.ts`:
 *
 *     deno run -A tests/pyboard/record.ts > tests/pyboard/vectors/NAME.json
 *
 * with the environment variables of `reference_test.ts`. It runs without a server, so that a replay needs none.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { until } from "../support/wait.ts";
import { Testbed } from "./testbed.ts";
import { PythonInitiator } from "./python.ts";
import { Station } from "./station.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const [reference, micropython, primitives] = [
  "HOLDFAST_REFERENCE",
  "HOLDFAST_MICROPYTHON",
  "HOLDFAST_PRIMITIVES",
].map((name) => {
  const value = Deno.env.get(name);
  if (!value) throw new Error(`set ${name}: see bridge/pyboard/README.md`);
  return value;
});

await using testbed = await Testbed.open("gcc");
await using _station = new Station(testbed);
await using initiator = new PythonInitiator(testbed, {
  command: micropython!,
  args: [here("pb_device.py"), "1\n", "127.0.0.1", "1", "2000"],
  path: [here("shims"), here("../interop/shims"), reference!, primitives!],
  heard: [],
  sent: [],
});
for (const text of ["first", "second", `long ${"x".repeat(60)}`, "last"]) initiator.write(text);
initiator.write("no qos", { qos: false });
await until(() => initiator.told.includes("s"), { what: "a report that there is no server" });
const steps = testbed.trace.map((line) => {
  const [ms, what, value = ""] = line.split(" ");
  return [Number(ms), what, /^(syn|ack)$/.test(what!) ? Number(value) : value];
});
console.log(JSON.stringify({ name: "pb_link without a server", steps }).replaceAll("],[", "],\n["));
