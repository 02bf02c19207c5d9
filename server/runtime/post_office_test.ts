/** Mail that a process receives and posts. */
import { assertEquals, assertRejects } from "@std/assert";
import type { DeviceView } from "../device_view.ts";
import type { Outcome } from "../link/outcome.ts";
import { newState } from "../link/record.ts";
import type { Cleared } from "../link/session.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Mail } from "../store/fleet.ts";
import { Ledger } from "../store/ledger.ts";
import type { Operation } from "../store/transaction.ts";
import type { DeviceDriver } from "./device_driver.ts";
import type { Order, Setting, Writing } from "./orders.ts";
import { forgetting } from "./forgetting.ts";
import { PostOffice } from "./post_office.ts";
import type { Transfer } from "./transfer.ts";
import type { Turn } from "./turn.ts";

/** A process that has the device "a", and commits when the test says so. */
class Scene {
  readonly did: string[] = [];
  /** Errors of writes and settings, by their text. */
  readonly failing = new Map<string, LocalError>();
  readonly office: PostOffice;
  device = this.#device();
  #waiting: Transfer[] = [];
  #whenSafe: (() => void)[] = [];
  posted: string[] = [];

  constructor() {
    const transfer = (it: Transfer) => void this.#waiting.push(it);
    const enter = (change: () => void) => change();
    const whenSafe = (run: () => void) => void this.#whenSafe.push(run);
    this.office = new PostOffice({
      act: (_, order, from) => this.#act(JSON.stringify(order), from),
      view: ({ id }) => ({ id }) as DeviceView,
      forget: (device, also) => {
        transfer(forgetting(device, { done: () => this.did.push("forgot"), failed() {}, also }));
        return new Promise(() => {});
      },
      turn: { transfer, enter, whenSafe } as unknown as Turn,
      find: (id) => id === "a" ? this.device : undefined,
      operation: (_, order, from) => this.#operation(order, from),
      refused: (device, _, { code }) => void this.did.push(`refused ${device.id} ${code}`),
    });
  }

  #device(): DeviceDriver {
    const ledger = new Ledger("a", { state: newState(), token: 1 }, new Set());
    const clear = (also: (dropped: Cleared) => void) => {
      const dropped = { inbox: 1, outbox: 2 };
      also(dropped);
      this.did.push("clear");
      return new Promise<Cleared>((resolve) => this.#whenSafe.push(() => resolve(dropped)));
    };
    const about = { id: "a", ledger, inbox: 1, outbox: 2, closed: undefined, clear };
    return about as unknown as DeviceDriver;
  }

  #act(order: string, from: string | undefined): void {
    const error = this.failing.get("act");
    if (error) throw error;
    this.did.push(from === undefined ? order : `${order} for ${from}`);
  }

  /** Another process has the device from now on. */
  close(): void {
    Object.assign(this.device, { closed: new LocalError("FENCED", "it is elsewhere") });
  }

  /** The device is lost, and comes back. */
  movesAway(): void {
    this.device = this.#device();
    this.office.acquired(this.device.ledger);
  }

  #operation(order: Writing | Setting, from: string | undefined): Operation {
    const text = "write" in order ? order.write : `${order.set}=${order.value}`;
    const left = "write" in order ? order.options.expires : undefined;
    const about = [text, from && `for ${from}`, left && `in ${left}`].filter(Boolean).join(" ");
    return {
      device: { id: "a", isForgotten: false, closed: undefined },
      apply: () => {
        const error = this.failing.get(text);
        if (error) throw error;
        this.did.push(about);
      },
      undo: () => void this.did.push(`undo ${text}`),
      done() {},
    };
  }

  mail(number: number, order: Order | string, age = 0): Mail {
    const text = typeof order === "string" ? order : JSON.stringify(order);
    return { number, device: "a", text, age, from: `7 ${number}` };
  }

  write(number: number, write: string, more: object = {}, age = 0): Mail {
    return this.mail(number, { write, options: {}, ...more }, age);
  }

  beat(...mail: Mail[]): void {
    this.office.asks();
    this.office.brings(mail);
  }

  /** One commit of all that waits; transfers that cannot be applied are left out. */
  commit({ fails }: { fails?: LocalError } = {}): void {
    const transfers = this.#waiting.splice(0);
    const refused = new Map<Transfer, unknown>();
    for (const transfer of transfers) {
      try {
        transfer.apply();
      } catch (error) {
        refused.set(transfer, error);
      }
    }
    const applied = transfers.filter((it) => !refused.has(it));
    if (fails) {
      for (const transfer of applied.toReversed()) transfer.undo();
      for (const transfer of applied) transfer.failed(fails);
    } else {
      this.posted.push(...applied.flatMap(({ posts = [] }) => posts.map(({ text }) => text)));
      for (const run of this.#whenSafe.splice(0)) run();
      for (const transfer of applied) transfer.done();
    }
    for (const [transfer, error] of refused) transfer.failed(error);
  }

  /** The mail that a commit deletes and its replies; then they are committed. */
  tells(): { taken: readonly number[]; replies: string[] } {
    const { taken = [], replies = [] } = this.device.ledger.mail ?? {};
    this.device.ledger.committed();
    return { taken, replies: replies.map(({ to, text }) => `${to} ${text}`) };
  }
}

const full = new LocalError("OUTBOX_FULL", "full");
const bad = new LocalError("BAD_ARGUMENT", "no");

Deno.test("mail is carried out once, in the commit that deletes it, and a beat under way does not bring it again", () => {
  const scene = new Scene();
  scene.beat(scene.write(1, "x"), scene.write(2, "y"));
  scene.office.asks(); // the next beat begins
  scene.commit();
  assertEquals([scene.did, scene.tells()], [["x", "y"], { taken: [1, 2], replies: [] }]);
  scene.office.brings([scene.write(1, "x"), scene.write(2, "y")]);
  scene.commit();
  assertEquals(scene.did, ["x", "y"]);
  scene.beat(scene.write(3, "z"));
  scene.commit();
  assertEquals(scene.did, ["x", "y", "z"]);
});

Deno.test("mail for which there is no room holds up mail that was posted after it", () => {
  const scene = new Scene();
  scene.failing.set("x", full);
  const [x, y] = [scene.write(1, "x"), scene.write(2, "y")];
  scene.beat(x, y);
  scene.commit();
  assertEquals(scene.did, []);
  // It is tried again, before anything younger.
  scene.beat(x, y);
  scene.failing.clear();
  scene.commit();
  assertEquals([scene.did, scene.tells().taken], [["x", "y"], [1, 2]]);
});

Deno.test("mail in a commit that fails waits, and is carried out in its order later", () => {
  const scene = new Scene();
  const [x, y] = [scene.write(1, "x"), scene.write(2, "y")];
  scene.beat(x, y);
  scene.commit({ fails: new LocalError("STORE_FAILED", "no") });
  assertEquals([scene.did, scene.tells().taken], [["x", "y", "undo y", "undo x"], []]);
  scene.beat(y); // without x: only part of the mail
  scene.commit();
  scene.beat(x, y);
  scene.commit();
  assertEquals(scene.did.slice(4), ["x", "y"]);
});

Deno.test("when a lost device comes back, only the mail that is still in the store counts", () => {
  const scene = new Scene();
  scene.failing.set("x", full);
  scene.beat(scene.write(1, "x"), scene.write(2, "y"));
  scene.commit();
  scene.movesAway(); // the other process has carried out x
  scene.beat(scene.write(2, "y"));
  scene.commit();
  assertEquals([scene.did, scene.tells().taken], [["y"], [2]]);
});

Deno.test("mail from a beat that began before a device came back is ignored: it may have been carried out elsewhere", () => {
  const scene = new Scene();
  const [x, y] = [scene.write(1, "x"), scene.write(2, "y")];
  scene.office.asks();
  scene.movesAway(); // the other process has carried out x, or has forgotten the device
  scene.office.take([y]);
  scene.office.brings([x, y]);
  scene.commit();
  assertEquals([scene.did, scene.tells().taken], [["y"], [2]]);
  scene.beat(scene.write(3, "z"));
  scene.commit();
  assertEquals(scene.did, ["y", "z"]);
});

Deno.test("an impossible order ends, and its sender gets the error in the same commit", () => {
  const scene = new Scene();
  scene.failing.set("x", bad);
  scene.failing.set("led=1", bad);
  const set = { set: "led", value: 1, options: {} };
  scene.beat(
    scene.write(1, "x"),
    scene.write(2, "x", { answers: true }),
    scene.mail(3, { ...set, answers: true }),
    scene.mail(4, "no order at all"),
    scene.mail(5, { ...set, value: 2, answers: true }),
  );
  scene.commit();
  const { taken, replies } = scene.tells();
  assertEquals(taken, [1, 2, 3, 4, 5]);
  const no = JSON.stringify({ code: "BAD_ARGUMENT", message: "no" });
  assertEquals(replies, [`7 2 ${no}`, `7 3 ${no}`, "7 5 {}"]);
  assertEquals(scene.did, ["led=2 for 7 5", "refused a BAD_ARGUMENT", "refused a BAD_ARGUMENT"]);
});

Deno.test("the time that mail has waited is subtracted from the time until its message expires", () => {
  const scene = new Scene();
  const expires = { options: { expires: 1000 }, answers: true };
  scene.beat(
    scene.write(1, "x", expires, 400),
    scene.write(2, "y", expires, 1000),
    scene.write(3, "z", { options: { qos: false }, answers: true }, 5000),
  );
  scene.commit();
  assertEquals(scene.did, ["x for 7 1 in 600", "refused a EXPIRED"]);
  const codes = scene.tells().replies.map((it) => it.match(/^7 \d|EXPIRED/g)!.join(" "));
  assertEquals(codes, ["7 2 EXPIRED", "7 3 EXPIRED"]);
});

Deno.test("a caller gets each valid answer until it leaves, and all other answers are dropped", () => {
  const scene = new Scene();
  const told: Outcome[] = [];
  const asker = { told: (it: Outcome) => void told.push(it), failed() {} };
  const forget = scene.office.ask("b", { write: "x", options: {} }, asker);
  scene.commit();
  assertEquals(scene.posted, ['{"write":"x","options":{},"answers":true}']);
  for (const text of ["{}", "no JSON", '{"line":":adc.1 5"}']) {
    scene.office.answered({ note: 1, number: 1, text });
  }
  scene.office.answered({ note: 2, number: 99, text: "{}" });
  forget();
  scene.office.answered({ note: 3, number: 1, text: "{}" });
  assertEquals(told, [{}, { line: ":adc.1 5" }]);
});

Deno.test("a caller gets the error if nothing could be posted, or if the server is closed", async () => {
  const scene = new Scene();
  const ask = () => {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    scene.office.ask("b", { write: "x", options: {} }, { told: resolve, failed: reject });
    return promise;
  };
  const refused = ask();
  scene.commit({ fails: full });
  assertEquals(await assertRejects(() => refused), full);
  const closed = ask();
  scene.commit();
  const reason = new LocalError("CLOSED", "closed");
  scene.office.close(reason);
  assertEquals(await assertRejects(() => closed), reason);
});

const cleared = JSON.stringify({ code: "CLEARED", message: "the message was dropped" });
const dropped = '{"inbox":1,"outbox":2}';

Deno.test("a posted clear does not wait for earlier mail without room: that mail is dropped, and answered with CLEARED", () => {
  const scene = new Scene();
  scene.failing.set("x", full);
  const x = scene.write(1, "x", { answers: true });
  scene.beat(x, scene.write(2, "unasked"));
  scene.commit();
  const clear = scene.mail(3, { clear: true, answers: true });
  const behind = scene.write(4, "behind");
  scene.beat(x, scene.write(2, "unasked"), clear, behind);
  assertEquals(scene.did, ["clear"]);
  scene.commit();
  const { taken, replies } = scene.tells();
  assertEquals([scene.did, taken], [["clear", "behind"], [1, 2, 3, 4]]);
  assertEquals(replies, [`7 1 ${cleared}`, `7 3 ${dropped}`]);
  scene.office.brings([x, clear]); // of a beat that was under way
  scene.commit();
  assertEquals([scene.did.length, scene.tells().taken], [2, []]);
});

Deno.test("the commit that forgets a device also deletes and answers the mail that asked for it; if it fails, nothing happens", () => {
  const scene = new Scene();
  const forget = scene.mail(1, { forget: true, answers: true });
  scene.beat(forget);
  scene.commit({ fails: new LocalError("STORE_FAILED", "no") });
  assertEquals([scene.did, scene.device.ledger.removed], [[], false]);
  assertEquals(scene.tells(), { taken: [], replies: [] });
  scene.movesAway();
  scene.beat(forget);
  scene.commit();
  assertEquals([scene.did, scene.device.ledger.removed], [["forgot"], true]);
  assertEquals(scene.tells(), { taken: [1], replies: [`7 1 ${dropped}`] });
});

Deno.test("an order that needs no room is carried out at once, even after mail that waits for room, and answered in the commit that deletes its mail", () => {
  const scene = new Scene();
  scene.failing.set("x", full);
  const options = { name: "a", version: 1 };
  const deploy: Order = { deploy: "AA", options, answers: true };
  scene.beat(scene.write(1, "x"), scene.mail(2, deploy), scene.mail(3, { giveUp: true }));
  scene.commit();
  const { taken, replies } = scene.tells();
  assertEquals([taken, replies], [[2, 3], ['7 2 {"view":{"id":"a"}}']]);
  assertEquals(scene.did, [`${JSON.stringify(deploy)} for 7 2`, '{"giveUp":true}']);
  scene.office.brings([scene.mail(2, deploy)]); // of a beat that was under way
  assertEquals(scene.did.length, 2);
});

Deno.test("the error of an impossible order is answered or logged; mail for a device of another process is left to that process", () => {
  const scene = new Scene();
  scene.failing.set("act", bad);
  scene.beat(scene.mail(1, { revive: 5, answers: true }), scene.mail(2, { discard: 5 }));
  scene.commit();
  const no = JSON.stringify({ code: "BAD_ARGUMENT", message: "no" });
  assertEquals(scene.tells(), { taken: [1, 2], replies: [`7 1 ${no}`] });
  assertEquals(scene.did, ["refused a BAD_ARGUMENT"]);
  scene.failing.clear();
  scene.close();
  const giveUp = scene.mail(3, { giveUp: true });
  scene.beat(giveUp);
  scene.commit();
  assertEquals([scene.did.length, scene.tells().taken], [1, []]);
  scene.movesAway(); // and comes back
  scene.beat(giveUp);
  scene.commit();
  assertEquals([scene.did.slice(1), scene.tells().taken], [['{"giveUp":true}'], [3]]);
});

Deno.test("mail that is not an order is refused: fields of wrong types, or missing fields", () => {
  const scene = new Scene();
  const wrong = [{ revive: "5" }, { discard: 0.5 }, { giveUp: 1 }, { deploy: "AA" }, {
    deploy: 5,
    options: {},
  }];
  scene.beat(...wrong.map((order, i) => scene.mail(i + 1, JSON.stringify(order))));
  scene.commit();
  assertEquals(scene.did, wrong.map(() => "refused a BAD_ARGUMENT"));
  assertEquals(scene.tells().taken, [1, 2, 3, 4, 5]);
});

Deno.test("mail that a clear has dropped is not carried out when a beat that began before the commit brings it", async () => {
  const scene = new Scene();
  scene.failing.set("x", full);
  const x = scene.write(1, "x");
  const clear = scene.mail(2, { clear: true, answers: true });
  scene.beat(x, clear);
  scene.office.asks(); // the next beat begins: the store has both still
  scene.commit();
  await null;
  scene.failing.clear();
  scene.office.brings([x, clear]);
  scene.commit();
  assertEquals([scene.did, scene.tells().taken], [["clear"], [1, 2]]);
  scene.beat(scene.write(3, "y"));
  scene.commit();
  assertEquals(scene.did, ["clear", "y"], "nothing is left to wait for");
});
