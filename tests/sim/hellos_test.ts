/** The checker of hellos: whose milliseconds a server may report. */
import { assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { Hellos } from "./hellos.ts";

Deno.test("the milliseconds of a hello are those at which its greeting began, however late it is admitted", () => {
  const hellos = new Hellos("A");
  const [first, second] = [{}, {}];
  hellos.begins(first, 2 ** 32 - 5);
  hellos.begins(second, 854);
  hellos.admitted(first, 2 ** 32 - 5);
  hellos.admitted(second, 854);
});

Deno.test("milliseconds of another hello are reported, however close they are", () => {
  const hellos = new Hellos("A");
  const [first, second] = [{}, {}];
  hellos.begins(first, 853);
  hellos.begins(second, 854);
  assertThrows(
    () => hellos.admitted(second, 853),
    Violation,
    "A is reported with ms=853, and began its greeting at 854 ms",
  );
});

Deno.test("milliseconds on a connection on which the device has not greeted are reported", () => {
  const hellos = new Hellos("A");
  hellos.begins({}, 854);
  assertThrows(() => hellos.admitted({}, 854), Violation, "A is reported with ms=854");
  assertThrows(() => hellos.admitted(undefined, 854), Violation, "A is reported with ms=854");
});
