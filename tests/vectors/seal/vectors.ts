/**
 * `vectors.json` for tests: RFC 8439, RFC 5869, RFC 7748, a whole session of suite 03, computed by `node:crypto`, and
 * one of suite 04, computed from the RFCs' formulas.
 */
import vectors from "./vectors.json" with { type: "json" };

/** A sealed text; all in hex. */
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
  /** The derived keys, in hex. */
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
  /** The shared secret. */
  shared: string;
}

export const { aead, poly1305, hkdf, x25519 } = vectors;
/** Points that lead to zeros. */
export const zeros: readonly string[] = vectors.x25519Zeros;
/** Iterated X25519: each scalar is computed from the previous one, with the one before that as point. */
export const iterated = vectors.x25519Iterated;
export const session = vectors.session as SessionVector;
export const ephemeral = vectors.ephemeral as EphemeralVector;
