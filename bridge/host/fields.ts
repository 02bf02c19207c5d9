/** The fields that an application gives to `configure`, as a simulated board takes them. */
import { LocalError } from "../../server/protocol/errors.ts";
import { type Configuration, decodeConfiguration } from "../formats/settings.ts";

/** What fields say of a link; what they do not say is undefined. */
export interface Fields
  extends Omit<Configuration, "server" | "server2" | "log" | "ip" | "country" | "unknown"> {
  /** Name or address of the server, or two of these. */
  host?: string | readonly [string, string];
}

/** Reads fields; undefined if one is malformed, out of its range or there twice. An unknown one is ignored. */
export function readFields(bytes: Uint8Array): Fields | undefined {
  try {
    const { server, server2, ...others } = decodeConfiguration(bytes);
    const { log: _log, ip: _ip, country: _country, unknown: _unknown, ...fields } = others;
    if (server === undefined) return fields; // the other address is one of that server
    return { ...fields, host: server2 === undefined ? server : [server, server2] };
  } catch (error) {
    if (error instanceof LocalError) return undefined; // the device says no more either
    throw error;
  }
}
