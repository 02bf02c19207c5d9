import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type FlashCode, FlashError } from "../chip/errors.ts";
import { obstacle } from "../chip/serial.ts";
import { explain } from "./faults.ts";

const CODES: FlashCode[] = [
  ...["PORT_BUSY", "LOST", "NO_SYNC", "SILENT", "WRONG_CHIP", "NO_STUB", "FLASH_SILENT"],
  ...["WRITE_FAILED", "VERIFY_FAILED", "READ_FAILED", "ERASE_FAILED", "STOPPED", "NO_IMPROV"],
  ...["WIFI_REFUSED", "BAD_IMAGE", "BAD_PLAN", "NOT_CHOSEN", "NO_FILE"],
] as FlashCode[];

Deno.test("every failure says what failed, at which address, and what to try", () => {
  for (const code of CODES) {
    const fault = explain(new FlashError(code, "the reason itself", 0x1f000));
    assert(fault.title.length > 5 && fault.tries.length > 0, code);
    assertStringIncludes(fault.text, "The reason itself, at 0x01f000.");
    assertStringIncludes(fault.details, code);
  }
});

Deno.test("if a file is missing, the advice is to tell the publisher; on a local page it is a command", () => {
  const error = new FlashError("NO_FILE", "nonos/irom.bin is not there (404)");
  const published = explain(error).tries.join(" ");
  assertStringIncludes(published, "tell its publisher");
  assertEquals(/deno|npx|folder of Holdfast/.test(published), false);
  assertStringIncludes(explain(error, true).tries.join(" "), "npx -y deno@");
});

Deno.test("an address is shown once", () => {
  const { text } = explain(new FlashError("WRITE_FAILED", "writing at 0x010000 failed", 0x10000));
  assertEquals(text.match(/0x010000/g)?.length, 1);
});

Deno.test("names of files stay as they are, and there is one full stop", () => {
  assertStringIncludes(
    explain(new FlashError("BAD_IMAGE", "boot.bin is no image")).text,
    "boot.bin",
  );
  const { text } = explain(new FlashError("LOST", "it was lost: The device has been lost."));
  assertEquals(text, "It was lost: The device has been lost.");
});

Deno.test("if a board is lost while nothing is written, nothing is called incomplete", () => {
  const says = (address?: number) => explain(new FlashError("LOST", "it was lost", address)).text;
  assertStringIncludes(says(0x10000), "incomplete");
  assertEquals(says().includes("incomplete"), false);
});

Deno.test("the details name all causes", () => {
  const cause = new Error("no answer within 3000 ms");
  const error = new FlashError("WRITE_FAILED", "writing failed", 0, { cause });
  assertStringIncludes(explain(error).details, "caused by Error: no answer within 3000 ms");
});

Deno.test("a bug of the page is reported as one", () => {
  for (const bug of [new TypeError("x is undefined"), "thrown text"]) {
    const fault = explain(bug);
    assertStringIncludes(fault.text, "a fault of this page");
    assert(fault.tries.length > 0);
  }
});

Deno.test("browsers are checked for the feature, and pages for their security, not for names", () => {
  assertEquals(obstacle({ isSecureContext: true, navigator: { serial: {} } }), undefined);
  assertEquals(obstacle({ isSecureContext: true, navigator: {} }), "unsupported");
  assertEquals(obstacle({ isSecureContext: false, navigator: {} }), "insecure");
});
