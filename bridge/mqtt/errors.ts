/** Errors of a broker. They end the connection and are reported; then the bridge connects again. */
import { HoldfastError } from "../../server/protocol/errors.ts";

/** Codes of errors on the broker's side. */
export type BrokerCode =
  | "BAD_CERTIFICATE" // not trusted here, for another name, or expired
  | "CERTIFICATE_REFUSED" // the broker refuses the bridge's, or requires one
  | "MALFORMED" // bytes that are not an MQTT packet
  | "REFUSED" // by the broker, with its reason; or it lacks what the bridge needs
  | "SILENT" // no answer in time
  | "TOO_LARGE" // a packet that is not a message, and longer than any valid one
  | "UNEXPECTED"; // a packet that is not allowed now

/** An error of the broker. */
export class BrokerError extends HoldfastError<BrokerCode> {
  /** The name that is printed. */
  override name = "BrokerError";
}
