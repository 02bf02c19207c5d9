import type { Boot } from "./platform.ts";

const ID = "/proc/sys/kernel/random/boot_id";
const UPTIME = "/proc/uptime";

/** How long this machine has been running; undefined where it cannot be known: Linux says it in /proc. */
export function boot(): Boot | undefined {
  if (Deno.build.os !== "linux" || !mayRead(ID) || !mayRead(UPTIME)) return undefined;
  try {
    const uptime = parseFloat(Deno.readTextFileSync(UPTIME)) * 1000;
    return uptime >= 0 ? { id: Deno.readTextFileSync(ID).trim(), uptime } : undefined;
  } catch {
    return undefined; // a sandbox without it
  }
}

/** Without asking a person. */
function mayRead(path: string): boolean {
  return Deno.permissions.querySync({ name: "read", path }).state === "granted";
}
