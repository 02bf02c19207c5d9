import { assertEquals } from "@std/assert";
import { Events } from "../observe/events.ts";
import { Reports } from "../observe/reports.ts";
import { ManualPlatform } from "../../tests/support/manual_platform.ts";
import { Firmware } from "./firmware.ts";

Deno.test("each kind of message has its handler, and unknown ones are logged", () => {
  const events = new Events();
  const log: string[] = [];
  events.subscribe((event) => {
    if (event.event === "log") log.push(`${event.device}: ${event.message}`);
  });
  const got: string[] = [];
  const take = (device: string, words: readonly string[]) => {
    got.push(`${device} ${words.join("|")}`);
    return words[0] !== "bad";
  };
  const firmware = new Firmware(new Reports(events, new ManualPlatform()), { k: take });
  firmware.told("1", "\x02k 47DEQpj8 and more");
  firmware.told("1", "\x02k");
  assertEquals(got, ["1 47DEQpj8|and|more", "1 "]);
  assertEquals(log, []);
  for (const text of ["\x02k bad", "\x02", "\x02 k", "\x02kk", "\x02constructor x"]) {
    firmware.told("2", text);
  }
  assertEquals(log.length, 5);
  assertEquals(
    log[0],
    '2: its firmware has sent a message that this server does not understand: "k bad"',
  );
});
