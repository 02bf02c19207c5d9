/** A broker's fault. It ends the connection and is reported; then another connection is made. */
import { HoldfastError } from "../../server/protocol/errors.ts";

/** What can be wrong on the broker's side. */
export type BrokerCode =
  | "BAD_CERTIFICATE" // not trusted here, for another name, or out of date
  | "CERTIFICATE_REFUSED" // the bridge's, or it has none
  | "MALFORMED" // bytes that are no packet of MQTT
  | "REFUSED" // by the broker, with its reason; or it lacks what the bridge needs
  | "SILENT" // no answer in time
  | "TOO_LARGE" // a packet that is no message, and longer than any of its kind
  | "UNEXPECTED"; // a packet that cannot come now

/** The broker's fault. */
export class BrokerError extends HoldfastError<BrokerCode> {
  /** As it is printed. */
  override name = "BrokerError";
}
