/** What a process of a fleet does with its beats. */
import { assertEquals } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Beat, Fleet } from "../store/fleet.ts";
import { Membership } from "./membership.ts";

const LEASE = 1000;
const NOTHING: Beat = { lost: [], mail: [], answers: [], orphans: [] };
const LOST = { note: 7, device: "a", token: 5 };

/** A fleet that the test controls, and what the process does. */
class Scene {
  readonly clock = new ManualClock();
  readonly did: string[] = [];
  /** The notes that each beat confirmed. */
  readonly beats: string[] = [];
  /** The results or errors of the next beats; later beats are empty. */
  next: (Partial<Beat> | Error)[] = [];
  /** Beats wait for this. */
  held: PromiseWithResolvers<void> | undefined;
  adopts: (id: string) => Promise<boolean> = () => Promise.resolve(true);
  heard = () => {};
  readonly membership: Membership;

  constructor() {
    const fleet: Fleet = {
      lease: LEASE,
      sender: (number) => `me ${number}`,
      join: (heard) => {
        this.heard = heard;
        return Promise.resolve();
      },
      beat: async (seen) => {
        this.beats.push(seen.join());
        await this.held?.promise;
        const next = this.next.shift() ?? {};
        if (next instanceof Error) throw next;
        return { ...NOTHING, ...next };
      },
      look: () => Promise.reject(new Error("nobody greets")),
      adopt: () => Promise.reject(new Error("the host adopts")),
      read: () => Promise.resolve(new Map()),
      exchange: () => Promise.reject(new Error("nobody looks")),
      leave: () => {
        this.did.push("leaves");
        return Promise.resolve();
      },
    };
    const did = (what: string) => void this.did.push(what);
    this.membership = new Membership(fleet, {
      clock: this.clock,
      asks() {},
      lost: ({ device, token }) => did(`loses ${device} ${token}`),
      adopt: (id) => {
        did(`adopts ${id}`);
        return this.adopts(id);
      },
      mail: (mail) => mail.forEach(({ number }) => did(`mail ${number}`)),
      answered: ({ number }) => did(`answer ${number}`),
      held: () => did("is held again"),
      fails: (error) => did(`fails: ${error}`),
    });
  }

  static async start(next: Scene["next"] = []): Promise<Scene> {
    const scene = new Scene();
    scene.next = next;
    await scene.membership.start();
    await scene.clock.turn();
    return scene;
  }

  async end(): Promise<void> {
    await this.membership.close();
    assertEquals(this.clock.timers, 0, "a timer is left");
  }
}

Deno.test("a process beats several times in a lease, and at once after a hint", async () => {
  const scene = await Scene.start();
  assertEquals(scene.beats.length, 1);
  await scene.clock.advance(LEASE);
  assertEquals(scene.beats.length, 6);
  scene.heard();
  scene.heard();
  await scene.clock.turn();
  assertEquals(scene.beats.length, 8, "the second one came while the first was under way");
  await scene.end();
});

Deno.test("losses and answers are handled once, and confirmed at once with another beat", async () => {
  const answers = [{ note: 8, number: 3, text: "{}" }];
  const scene = await Scene.start([{ lost: [LOST], answers }]);
  assertEquals(scene.did, ["loses a 5", "answer 3"]);
  assertEquals(scene.beats, ["", "7,8"]);
  await scene.clock.advance(LEASE / 5);
  assertEquals(scene.beats, ["", "7,8", ""]);
  await scene.end();
});

Deno.test("notes are confirmed again if the beat that confirmed them fails", async () => {
  const scene = await Scene.start([{ lost: [LOST] }, new LocalError("STORE_FAILED", "no")]);
  await scene.clock.advance(LEASE / 20);
  assertEquals(scene.beats, ["", "7", "7"]);
  await scene.end();
});

Deno.test("a lease counts from when its beat was sent, and losses are handled before it is held again", async () => {
  const scene = await Scene.start();
  scene.held = Promise.withResolvers();
  await scene.clock.advance(LEASE / 5); // the beat is sent
  await scene.clock.advance(LEASE * 0.7);
  assertEquals(scene.membership.isHeld, false);
  scene.next = [{ lost: [LOST] }];
  const { held } = scene;
  scene.held = undefined;
  held!.resolve();
  await scene.clock.turn();
  assertEquals(scene.did, ["loses a 5", "is held again"]);
  assertEquals(scene.membership.isHeld, true);
  await scene.clock.advance(0);
  await scene.end();
});

Deno.test("a store that fails with any error is asked again, and reported once; the lease runs out meanwhile", async () => {
  const scene = await Scene.start();
  scene.next = Array.from({ length: 30 }, () => new TypeError("no"));
  await scene.clock.advance(LEASE);
  assertEquals(scene.did, ["fails: TypeError: no"]);
  assertEquals([scene.membership.isHeld, scene.beats.length > 10], [false, true]);
  scene.next = [];
  await scene.clock.advance(LEASE / 20);
  assertEquals(scene.did, ["fails: TypeError: no", "is held again"]);
  await scene.end();
});

Deno.test("devices without a server are adopted while beats continue, each with one attempt at a time", async () => {
  const scene = new Scene();
  const adopted = Promise.withResolvers<boolean>();
  scene.adopts = () => adopted.promise;
  scene.next = [{ orphans: ["a"] }, { orphans: ["a"] }];
  await scene.membership.start();
  await scene.clock.advance(LEASE);
  assertEquals([scene.did, scene.beats.length > 4], [["adopts a"], true]);
  adopted.resolve(true);
  await scene.clock.turn();
  await scene.end();
});

Deno.test("a process that does not know whether it has a device tries to adopt it until it gets an answer", async () => {
  const scene = await Scene.start();
  scene.membership.doubt("a");
  let fails = true;
  scene.adopts = () =>
    fails ? Promise.reject(new LocalError("STORE_FAILED", "no")) : Promise.resolve(false);
  await scene.clock.advance(LEASE / 5);
  fails = false;
  await scene.clock.advance(LEASE / 5);
  assertEquals(scene.did, ["adopts a", "adopts a"]);
  await scene.clock.advance(LEASE);
  assertEquals(scene.did.length, 2, "it has an answer");
  await scene.end();
});

Deno.test("after an adoption a process beats at once for more devices without a server, but not if the adoption failed", async () => {
  const scene = new Scene();
  let isOurs = false;
  scene.adopts = () => Promise.resolve(isOurs);
  scene.next = Array.from({ length: 100 }, () => ({ orphans: ["a"] }));
  await scene.membership.start();
  await scene.clock.turn();
  assertEquals([scene.did, scene.beats.length], [["adopts a"], 1]);
  isOurs = true;
  scene.next = [{ orphans: ["a", "b"] }];
  await scene.clock.advance(LEASE / 5);
  assertEquals([scene.did, scene.beats.length > 2], [["adopts a", "adopts a", "adopts b"], true]);
  await scene.end();
});

Deno.test("after a beat with mail another one follows soon", async () => {
  const mail = [{ number: 1, device: "a", text: "{}", age: 0, from: "" }];
  const scene = await Scene.start([{ mail }, { mail }]);
  await scene.clock.advance(LEASE / 20);
  assertEquals([scene.did, scene.beats.length], [["mail 1", "mail 1"], 2]);
  await scene.end();
});

Deno.test("a process that closes leaves when its last beat is answered, and ignores that answer", async () => {
  const scene = await Scene.start();
  scene.held = Promise.withResolvers();
  await scene.clock.advance(LEASE / 5);
  scene.next = [{ lost: [LOST], orphans: ["b"] }];
  const closed = scene.membership.close();
  scene.heard();
  scene.held.resolve();
  await closed;
  assertEquals([scene.did, scene.clock.timers], [["leaves"], 0]);
});
