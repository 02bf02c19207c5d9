/** `vectors.json` for tests: RFC 8439, RFC 5869, and a whole session of suite 03, whose bytes `node:crypto` has made. */
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

export const { aead, poly1305, hkdf } = vectors;
export const session = vectors.session as SessionVector;
