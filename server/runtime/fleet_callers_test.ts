/** Devices that greet a process of a fleet. */
import { assertEquals } from "@std/assert";
import { type DeviceRecord, newState } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Look } from "../store/fleet.ts";
import { Ledger } from "../store/ledger.ts";
import { FleetCallers } from "./fleet_callers.ts";

/** A process, and a store that answers when the test says so. */
class Scene {
  readonly told: string[] = [];
  here: Ledger | undefined;
  readonly looks: { id: string; token: number | undefined; answer: PromiseWithResolvers<Look> }[] =
    [];
  readonly takes: PromiseWithResolvers<Ledger | undefined>[] = [];
  readonly callers = new FleetCallers({
    here: () => this.here,
    look: (id, token) => {
      const answer = Promise.withResolvers<Look>();
      this.looks.push({ id, token, answer });
      return answer.promise;
    },
    take: () => {
      const answer = Promise.withResolvers<Ledger | undefined>();
      this.takes.push(answer);
      return answer.promise;
    },
    lost: ({ token }) => void this.told.push(`lost ${token}`),
  }, 2);

  ask(who = "a"): () => void {
    return this.callers.ask(
      "a",
      (record) => this.told.push(`${who}: ${this.#about(record)}`),
      (error) => this.told.push(`${who}: ${(error as LocalError).code}`),
    );
  }

  #about(record: DeviceRecord): string {
    const whose = record === this.here?.record ? "its own" : "another one's";
    return `${whose}, ${record.positions.connects}${record.mayHaveForgotten ? "" : ", sure"}`;
  }

  take(): () => void {
    const known = ledger(0).record;
    return this.callers.take("a", known, () => this.told.push("taken"), (error) => {
      this.told.push(`${(error as LocalError).code}`);
    });
  }

  async answers(at: number, look: Partial<Look>): Promise<void> {
    this.looks[at]!.answer.resolve({ isOurs: false, state: undefined, looks: 0, ...look });
    await this.settled();
  }

  settled(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve));
  }
}

function ledger(token: number): Ledger {
  return new Ledger("a", { state: newState(), token, looks: 0 }, new Set());
}

Deno.test("a device of another process is only looked at, and no ledger of it is kept", async () => {
  const scene = new Scene();
  scene.ask();
  assertEquals([scene.looks[0]!.token, scene.told], [undefined, []]);
  await scene.answers(0, { state: newState(0, { connects: 7 }) });
  assertEquals([scene.told, scene.callers.ledger("a")], [["a: another one's, 7"], undefined]);
});

Deno.test("a look at a device that is here sends its token, and its record is not sure if others have looked", async () => {
  const scene = new Scene();
  scene.here = ledger(5);
  scene.here.record.mayHaveForgotten = false;
  scene.ask();
  assertEquals(scene.looks[0]!.token, 5);
  await scene.answers(0, { isOurs: true });
  scene.ask();
  await scene.answers(1, { isOurs: true, looks: 1 });
  assertEquals(scene.told, ["a: its own, 0, sure", "a: its own, 0"]);
});

Deno.test("when a device is adopted while it greets, this process's own look for that greeting does not count as another's", async () => {
  for (const [looks, sure] of [[1, ", sure"], [2, ""]] as const) {
    const scene = new Scene();
    let known!: DeviceRecord;
    scene.callers.ask("a", (record) => known = record, () => {});
    await scene.answers(0, { looks });
    scene.here = ledger(5); // acquired before that look, which it does not count
    scene.callers.take("a", known, () => {}, () => {});
    scene.here.record.mayHaveForgotten = false; // that greeting has shown what the device has
    scene.ask();
    await scene.answers(1, { isOurs: true, looks });
    assertEquals(scene.told, [`a: its own, 0${sure}`], `${looks} looks`);
  }
});

Deno.test("a device that is here, but belongs to another process in the store, is dropped before its caller gets an answer", async () => {
  const scene = new Scene();
  scene.here = ledger(5);
  scene.ask();
  await scene.answers(0, { state: newState(0, { connects: 3 }) });
  assertEquals(scene.told, ["lost 5", "a: another one's, 3"]);
});

Deno.test("a device that is lost during the look must greet again", async () => {
  const scene = new Scene();
  scene.here = ledger(5);
  scene.ask();
  scene.here = undefined;
  await scene.answers(0, { isOurs: true });
  assertEquals(scene.told, ["a: FENCED"]);
});

Deno.test("a caller that has left is not called back, and a store that does not answer is asked a limited number of times", async () => {
  const scene = new Scene();
  const forget = scene.ask("gone");
  scene.ask("first");
  scene.ask("too many");
  await scene.settled();
  assertEquals(scene.told, ["too many: STORE_FAILED"]);
  forget();
  await scene.answers(0, {});
  scene.looks[1]!.answer.reject(new LocalError("STORE_FAILED", "no"));
  await scene.settled();
  assertEquals(scene.told.slice(1), ["first: STORE_FAILED"]);
  scene.ask("next");
  await scene.answers(2, {});
  assertEquals(scene.told.slice(2), ["next: another one's, 0"]);
});

Deno.test("a device with a confirmed greeting is acquired, unless it is here already", async () => {
  const scene = new Scene();
  scene.here = ledger(5);
  scene.take();
  assertEquals([scene.told, scene.takes.length], [["taken"], 0]);
  scene.here = undefined;
  scene.take();
  scene.takes[0]!.resolve(undefined);
  await scene.settled();
  assertEquals(scene.told, ["taken", "taken"]);
});

Deno.test("the ledger of a device that the store does not know is kept as long as its greeting", async () => {
  const scene = new Scene();
  const forget = scene.take();
  const fresh = ledger(9);
  scene.takes[0]!.resolve(fresh);
  await scene.settled();
  assertEquals([scene.told, scene.callers.ledger("a")], [["taken"], fresh]);
  forget();
  assertEquals(scene.callers.ledger("a"), undefined);
  const gone = scene.take();
  gone();
  scene.takes[1]!.resolve(fresh);
  await scene.settled();
  assertEquals([scene.told.length, scene.callers.ledger("a")], [1, undefined]);
});
