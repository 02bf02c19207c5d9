/** Orders that another server has posted for a device here: deploys, and acts on dead letters. */
import { LocalError } from "../protocol/errors.ts";
import { bytesOf } from "../protocol/firmware_lines.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import type { Act, Deploying } from "../runtime/orders.ts";
import type { Deploys } from "./deploys.ts";
import { offerOf } from "./device_deploy.ts";

/** The .wasm of a posted deploy. @throws {LocalError} BAD_ARGUMENT: it is not an application */
export function wasmOf({ deploy, options }: Deploying): Uint8Array {
  const wasm = decoded(deploy);
  offerOf(wasm, options);
  return wasm;
}

function decoded(text: string): Uint8Array {
  try {
    return bytesOf(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new LocalError("BAD_ARGUMENT", "what was posted is not a .wasm in base64url");
  }
}

/**
 * Carries out an order; called when records may be changed.
 *
 * @param from Who waits for the outcome; undefined: nobody.
 * @throws {LocalError} and nothing has changed
 */
export function act(
  deploys: Deploys,
  device: DeviceDriver,
  order: Act,
  from: string | undefined,
): void {
  if ("deploy" in order) {
    const { options, follows, rollout } = order;
    deploys.order(device, wasmOf(order), options, { from: follows && from, rollout });
  } else if ("giveUp" in order) deploys.giveUpNow(device);
  else if ("revive" in order) device.removeDeadLetter(order.revive, true);
  else device.removeDeadLetter(order.discard, false);
}
