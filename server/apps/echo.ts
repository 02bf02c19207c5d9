/** Answers each line `x` with `echo x`: the smallest application, and a check that a board works. */
import type { Device } from "../mod.ts";

export default async function echo(device: Device): Promise<void> {
  for await (const line of device) await device.write(`echo ${line}`);
}
