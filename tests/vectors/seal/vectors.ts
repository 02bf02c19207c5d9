/**
 * `vectors.json` for tests: RFC 8439, RFC 5869, RFC 7748, and a whole session of suite 03, whose bytes `node:crypto` has
 * made, and one of suite 04, by the formulas of the RFCs in whole numbers.
 */
import vectors from "./vectors.json" with { type: "json" };

/** A text that is sealed; all in hex. */
export interface AeadVector {
  name: string;
  key: string;
  nonce: string;
  aad: string;
  text: string;
  sealed: string;
  tag: string;
}

/** A record of a session, with what is in it. */
export interface RecordVector {
  to: "toServer" | "toDevice";
  text: string;
  /** In hex. */
  sealed: string;
}

/** A session from its hello on. */
export interface SessionVector {
  key: string;
  hello: string;
  welcome: string;
  proof: string;
  /** The keys that come of it, in hex. */
  toServer: string;
  toDevice: string;
  /** Longest text that either end takes. */
  line: number;
  records: RecordVector[];
}

/** A session with ephemeral keys. */
export interface EphemeralVector extends SessionVector {
  deviceSecret: string;
  serverSecret: string;
  /** What the two come to. */
  shared: string;
}

export const { aead, poly1305, hkdf, x25519 } = vectors;
/** Points that lead to zeros. */
export const zeros: readonly string[] = vectors.x25519Zeros;
/** A scalar is made of the one before, with the one before that as point. */
export const iterated = vectors.x25519Iterated;
export const session = vectors.session as SessionVector;
export const ephemeral = vectors.ephemeral as EphemeralVector;
