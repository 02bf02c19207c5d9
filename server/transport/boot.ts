import type { Boot } from "./platform.ts";

const ID = "/proc/sys/kernel/random/boot_id";
const UPTIME = "/proc/uptime";

/** How long this machine has been running, from /proc on Linux; undefined where it is unknown. */
export function boot(): Boot | undefined {
  if (Deno.build.os !== "linux" || !mayRead(ID) || !mayRead(UPTIME)) return undefined;
  try {
    const uptime = parseFloat(Deno.readTextFileSync(UPTIME)) * 1000;
    return uptime >= 0 ? { id: Deno.readTextFileSync(ID).trim(), uptime } : undefined;
  } catch {
    return undefined; // a sandbox without /proc
  }
}

/** Whether a file may be read, without a permission prompt. */
function mayRead(path: string): boolean {
  return Deno.permissions.querySync({ name: "read", path }).state === "granted";
}
