/** The fields that an application gives to `configure`, as a simulated board reads them. */
import { LocalError } from "../../server/protocol/errors.ts";
import { type Configuration, decodeConfiguration } from "../formats/settings.ts";

/** Settings of a link; undefined if there is no such field. */
export interface Fields
  extends Omit<Configuration, "server" | "server2" | "log" | "ip" | "country" | "unknown"> {
  /** Name or address of the server, or two of these. */
  host?: string | readonly [string, string];
}

/** Reads fields; undefined if one is malformed, out of range or occurs twice. Unknown ones are ignored. */
export function readFields(bytes: Uint8Array): Fields | undefined {
  try {
    const { server, server2, ...others } = decodeConfiguration(bytes);
    const { log: _log, ip: _ip, country: _country, unknown: _unknown, ...fields } = others;
    if (server === undefined) return fields; // the second address belongs to that server
    return { ...fields, host: server2 === undefined ? server : [server, server2] };
  } catch (error) {
    if (error instanceof LocalError) return undefined; // the device gives no details, either
    throw error;
  }
}
