/** The fields that an application gives to `configure`, as a simulated board takes them. */
import { LocalError } from "../../server/protocol/errors.ts";
import { type Configuration, decodeConfiguration } from "../formats/settings.ts";

/** What fields say of a link; what they do not say is undefined. */
export interface Fields extends Omit<Configuration, "server" | "log" | "unknown"> {
  /** Name or address of the server. */
  host?: string;
}

/** Reads fields; undefined if one is malformed, out of its range or there twice. An unknown one is ignored. */
export function readFields(bytes: Uint8Array): Fields | undefined {
  try {
    const { server, log: _, unknown: __, ...fields } = decodeConfiguration(bytes);
    return server === undefined ? fields : { ...fields, host: server };
  } catch (error) {
    if (error instanceof LocalError) return undefined; // the device says no more either
    throw error;
  }
}
