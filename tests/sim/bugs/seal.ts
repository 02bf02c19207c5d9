/** Bugs of sealed links. */
import { type Bugs, edit } from "./bug.ts";

const ADMISSION = "server/admission/admission.ts";
const CIPHER = "server/protocol/chacha20_poly1305.ts";
const SEAL = "server/protocol/seal.ts";

export const SEAL_BUGS: Bugs = {
  "seal: all records have one number": edit(SEAL, "this.#next++", "this.#next"),
  "seal: a tag is not compared": edit(CIPHER, "if (differs !== 0) return false;", ""),
  "seal: the server seals with the key of the other direction": edit(
    ADMISSION,
    "new Seal(toDevice, toServer,",
    "new Seal(toServer, toDevice,",
  ),
  "seal: a record that is cut off is taken for one that has ended": edit(
    SEAL,
    "if (next > bytes.length) break;",
    "if (next > bytes.length) return { bytes: bytes.subarray(at + LENGTH_BYTES) };",
  ),
};
