/** Bugs of sealed links. */
import { type Bugs, edit } from "./bug.ts";

const ADMISSION = "server/admission/admission.ts";
const CIPHER = "server/protocol/chacha20_poly1305.ts";
const CONNECTION = "server/runtime/connection.ts";
const SEAL = "server/protocol/seal.ts";

export const SEAL_BUGS: Bugs = {
  "seal: all records have one number": edit(SEAL, "this.#next++", "this.#next"),
  "seal: a tag is not compared": edit(CIPHER, "if (differs !== 0) return false;", ""),
  "seal: the server seals with the key of the other direction": edit(
    ADMISSION,
    "new Seal(toDevice, toServer,",
    "new Seal(toServer, toDevice,",
  ),
  "seal: what was said is not in the keys": edit(SEAL, ".update(greeting)", '.update("")'),
  "seal: a stream that was cut off is taken for one that has ended": edit(
    CONNECTION,
    "    this.close();\n    this.#stage!.ended(reason);",
    "    this.#stage!.data(Uint8Array.of(10));\n    this.close();\n    this.#stage!.ended(reason);",
  ),
};
