/** The books of deploys, in rare orders of events. */
import { assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import type { Device } from "../../server/device.ts";
import { hashOf, ModelFirmware } from "../support/model_firmware.ts";
import { DeviceBooks } from "./deploy_books.ts";

const [KNOWN, NEWER] = [hashOf([2]), hashOf([3])];

/** A device that has two applications. @param deployed Those that were deployed to it. */
function books(...deployed: string[]): DeviceBooks {
  const books = new DeviceBooks("A", { apps: [], deploys: 2, pause: 1, old: 0 }, true);
  books.firmware = new ModelFirmware();
  [KNOWN, NEWER].forEach((hash, n) => books.firmware.slots[n]!.hash = hash);
  for (const hash of deployed) {
    const app = { hash, wasm: new Uint8Array(), version: 4, falls: undefined, isUnfit: false };
    books.begins({ app, older: false, again: false });
  }
  return books;
}

/** What the server knows when it warns. */
function view(runs: string, deployed: string, phase = "kept"): Device {
  const app = (hash: string) => ({ name: "app", version: 4, hash: hash.slice(0, 8) });
  return { runs: app(runs), deployment: { ...app(deployed), phase } } as Device;
}

Deno.test("a server on an old copy of its store warns of an application that was deployed since", () => {
  const its = books(KNOWN, NEWER);
  its.putBack(KNOWN);
  its.warned(view(NEWER, KNOWN));
  const wrong = [view(KNOWN, NEWER), view(NEWER, NEWER), view(NEWER, KNOWN, "trial")];
  for (const each of wrong) assertThrows(() => its.warned(each), Violation, "for flashed");
});

Deno.test("a server whose store has every deploy warns of none of them", () => {
  const its = books(KNOWN, NEWER);
  assertThrows(() => its.warned(view(NEWER, KNOWN)), Violation, "for flashed");
});

Deno.test("a server on an old copy of its store warns of no application that nobody deployed", () => {
  const its = books(KNOWN);
  its.putBack(KNOWN);
  assertThrows(() => its.warned(view(NEWER, KNOWN)), Violation, "for flashed");
});
