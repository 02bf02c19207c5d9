/** The shared vectors on the chip: the interpreter does the same as the host's engine, byte for byte. */
import { assert, assertThrows } from "@std/assert";
import { coreModule } from "../../bridge/host/core.ts";
import { replayClient, type Vector } from "../vectors/replay.ts";
import { onChip, RemoteChip } from "./remote.ts";
import { application, chipTest, firmware } from "./support.ts";

const FOLDER = new URL("../vectors/", import.meta.url);

/** `aot`: the core is part of the firmware, translated to C; or else it is interpreted. */
async function withChip(
  qemu: string,
  { aot }: { aot: boolean },
  fn: (chip: RemoteChip) => void,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const elf = await firmware(["-DEMULATOR_RUNNER"], aot ? application("core") : undefined);
    const chip = new RemoteChip(qemu, elf, application("core").wasm, folder);
    try {
      fn(chip);
    } finally {
      chip[Symbol.dispose]();
      await chip.ended();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function replayAll(chip: RemoteChip): void {
  const names = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort();
  let replayed = 0;
  for (const name of names.filter((name) => name.endsWith(".json"))) {
    const { client }: Vector = JSON.parse(Deno.readTextFileSync(new URL(name, FOLDER)));
    if (!client) continue;
    try {
      onChip(chip, () => replayClient(client, coreModule()));
    } catch (cause) {
      throw new Error(`${name}: ${(cause as Error).message}`, { cause });
    }
    replayed++;
  }
  console.log(`${replayed} vectors, ${chip.calls} calls, each with all of the memory compared`);
  assert(replayed > 40 && chip.calls > 5000);
}

for (const aot of [false, true]) {
  const how = aot ? "built ahead of time" : "interpreted";
  chipTest(
    `vectors on the chip, ${how}: every call of the core answers and leaves memory as on the host`,
    (tools) => withChip(tools["qemu-system-xtensa"], { aot }, replayAll),
  );
}

chipTest("vectors on the chip: a difference is detected", async (tools) => {
  await withChip(tools["qemu-system-xtensa"], { aot: false }, (chip) => {
    const send = chip.send.bind(chip);
    chip.send = (bytes) => {
      if (bytes[0] === "X".charCodeAt(0)) bytes[4]! ^= 1; // corrupts the clock on its way to the chip
      send(bytes);
    };
    const { client }: Vector = JSON.parse(
      Deno.readTextFileSync(new URL("keepalives.json", FOLDER)),
    );
    assertThrows(
      () => onChip(chip, () => replayClient(client!, coreModule())),
      Error,
      "memory differs",
    );
  });
});
