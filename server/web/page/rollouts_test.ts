import { assertEquals } from "@std/assert";
import type { DeployView } from "../../device_view.ts";
import { wordsOfRollouts } from "./rollouts.ts";

function part(id: string, phase: DeployView["phase"], more: Partial<DeployView> = {}) {
  const app = { name: "main", version: 7, hash: "47DEQpj8", size: 1000, arrived: 0 };
  return { id, deploy: { ...app, begun: "", since: "", phase, rollout: 1, ...more } };
}

Deno.test("a rollout is shown while devices wait for it, and when it has stopped", () => {
  assertEquals(wordsOfRollouts([{ id: "1" }, part("2", "waits", { rollout: 2 })]), [
    "main 7: 0 of 1 device run it, and 0 wait for their turn.",
  ]);
  assertEquals(wordsOfRollouts([part("1", "kept"), part("2", "trial"), part("3", "queued")]), [
    "main 7: 1 of 3 devices run it, and 1 wait for their turn.",
  ]);
  assertEquals(wordsOfRollouts([part("1", "kept"), part("2", "given_up")]), []);
  const failed = part("<b>", "fell_back", { reason: "hang" });
  assertEquals(wordsOfRollouts([part("1", "kept"), failed, part("3", "stopped")]), [
    "main 7: 1 of 3 devices run it. It was stopped because <b> has fallen back (hang): 1 were not started.",
  ]);
});
