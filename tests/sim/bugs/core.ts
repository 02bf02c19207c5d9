/** Bugs of the client core. */
import { type Bugs, edit } from "./bug.ts";

const CORE = "client-as/assembly/core.ts";

export const CORE_BUGS: Bugs = {
  "core: the first message after a boot is new each time it comes": edit(
    CORE,
    "return key >>> 24 != 0 | !newer | bootConnect == get(CONNECTS);",
    "return key >>> 24 != 0;",
  ),
  "core: what overflows the inbox is acknowledged, and lost": edit(
    CORE,
    "} // else it was read only for the acks after it. It is not acknowledged, so it will come again.",
    "} else if (controlEnd + FRAME <= recent) frame(controlEnd, controlEnd + 2, value), controlEnd += FRAME;",
  ),
  "core: a malformed line hangs it": edit(
    CORE,
    "if (malformed) return BAD_LINE;",
    "if (malformed) { set(TIMEOUT, 0x7fffffff); inEnd = inLine; return 0; }",
  ),
  "core: the other end's credit is ignored": edit(
    CORE,
    "<i32>(end - outHead) > get(PEER_BYTES) |",
    "",
  ),
  "core: the other end's proof is not checked": edit(CORE, "if (malformed) return BAD_PROOF;", ""),
  "core: a withdrawn message keeps its length": edit(
    CORE,
    "flags == WITHDRAWN ? FRAME + 1 : <i32>(end - at)",
    "<i32>(end - at)",
  ),
  "core: what has become too long for the server is sent": edit(
    CORE,
    "withdraw(longest);",
    "",
  ),
  "core: what the other end has is sent again": edit(
    CORE,
    "for (let i = there; i--;) finish(outHead);",
    "",
  ),
  "core: an ack settles one message too many": edit(
    CORE,
    "while (outHead <= entry) finish(outHead);",
    "do finish(outHead); while (outHead <= entry || (outHead < outNext && load<u8>(outHead, 2) - 1 == value));",
  ),
  "core: what was not sent again counts as sent": edit(
    CORE,
    "  outNext = outHead;\n  // At once",
    "  // At once",
  ),
  "core: the clock must not wrap": edit(
    CORE,
    "wait = heard - now +",
    "wait = (<u32>heard > <u32>now ? 0 : heard - now) +",
  ),
  "core: its messages reach beyond the outbox": edit(
    CORE,
    "const limit = outbox + get(OUTBOX) - n - FRAME - HEADER;",
    "const limit = outbox + get(OUTBOX) - n - FRAME;",
  ),
};
