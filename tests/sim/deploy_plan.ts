/** Worlds with deploys to devices: which seeds have them, and which applications there are. */
import { createHash } from "node:crypto";
import { CORE_EXPORTS } from "../../server/protocol/module.ts";
import type { FaultKind } from "./fault_kinds.ts";
import type { Random } from "../../bridge/testing/random.ts";

/** One seed in this many is such a world. */
const SHARE = 8;
const PLACE = 5;

/** An application that may be deployed. */
export interface SimApp {
  readonly wasm: Uint8Array<ArrayBuffer>;
  /** As in an offer. */
  readonly hash: string;
  readonly version: number;
  /** Why it falls back whenever it is tried; undefined: it works. */
  readonly falls: "trap" | "hang" | "heap" | undefined;
  /** The firmware lacks something that it needs. */
  readonly isUnfit: boolean;
}

export interface DeployPlan {
  readonly apps: readonly SimApp[];
  /** How many deploys there are to each device, and the longest pause before the next, in ms. */
  readonly deploys: number;
  readonly pause: number;
  /** Share of boots with an older firmware, which knows nothing of deploys. */
  readonly old: number;
}

/** The scenario to which deploys are added. */
interface World {
  readonly siege: boolean;
  readonly channels?: boolean;
  readonly timeout: number;
  readonly faultsEnd: number;
  readonly faults: FaultKind[];
  readonly limits: { helloBytes: number };
  readonly devices: readonly {
    readonly kind: string;
    readonly dialect: 1 | 2;
    readonly size: { inbox: number };
  }[];
  deploys?: DeployPlan;
}

/** Share of these worlds in which devices sleep as often as two other faults happen. */
const SLEEPY = 0.4;

/** Version of the application that runs first. */
export const FIRST_VERSION = 3;

/** Least inbox of a core whose hello says what it runs, in bytes. */
const INBOX = 700;

/** Whether a seed has deploys. */
export function deploysThere(seed: number): boolean {
  return seed % SHARE === PLACE;
}

/** Adds deploys to a scenario whose devices have a firmware that takes them. */
export function addDeploys(scenario: World, random: Random): void {
  if (scenario.siege || scenario.channels) return; // are about something else
  const { timeout, faultsEnd, devices } = scenario;
  if (!devices.some(takesDeploys)) return;
  for (const { size } of devices) size.inbox = Math.max(size.inbox, INBOX);
  const deploys = random.between(1, 6);
  scenario.limits.helloBytes = 320;
  if (random.chance(SLEEPY)) scenario.faults.push("device sleeps", "device sleeps");
  scenario.deploys = {
    apps: Array.from({ length: random.between(1, 4) }, () => drawApp(random)),
    deploys,
    old: random.pick([0, 0, 0.3]),
    pause: Math.floor(random.pick([timeout, faultsEnd / deploys])),
  };
}

/** Whether a device's firmware takes deploys. */
export function takesDeploys({ kind, dialect }: { kind: string; dialect: 1 | 2 }): boolean {
  return kind === "chip" && dialect === 2;
}

function drawApp(random: Random): SimApp {
  const wasm = moduleOf(random);
  return {
    wasm,
    hash: createHash("sha256").update(wasm).digest("base64url"),
    version: random.between(FIRST_VERSION - 1, FIRST_VERSION + 4),
    falls: random.pick([undefined, undefined, "trap", "hang", "heap"]),
    isUnfit: random.chance(0.1),
  };
}

/** The smallest module that passes for an application, followed by a section that nobody reads. */
function moduleOf(random: Random): Uint8Array<ArrayBuffer> {
  const section = (id: number, ...bytes: number[]) => [id, ...leb(bytes.length), ...bytes];
  const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
  const count = CORE_EXPORTS.length;
  const noise = Array.from({ length: random.skewed(1, 1500) }, () => random.below(256));
  return Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 1, 0x60, 0, 0),
    ...section(3, count, ...CORE_EXPORTS.map(() => 0)),
    ...section(5, 1, 0, 1),
    ...section(
      7,
      count + 1,
      ...CORE_EXPORTS.flatMap((one, at) => [...name(one), 0, at]),
      ...[...name("memory"), 2, 0],
    ),
    ...section(10, count, ...CORE_EXPORTS.flatMap(() => [2, 0, 0x0b])),
    ...section(0, ...name("x"), ...noise),
  );
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [value & 127 | 128, ...leb(value >> 7)];
}
