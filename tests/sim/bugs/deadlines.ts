/** Bugs of messages with a deadline. */
import { type Bugs, edit } from "./bug.ts";

const CORE = "client-as/assembly/core.ts";
const CLIENT_OUTBOX = "bridge/host/outbox.ts";
const ADMISSION = "server/admission/admission.ts";
const DEADLINES = "server/link/deadlines.ts";
const OUTBOX = "server/link/outbox.ts";
const TABLES = "server/store/sqlite/tables.ts";

export const DEADLINE_BUGS: Bugs = {
  "what may have been sent expires while the device is away": edit(
    DEADLINES,
    'return !dialect && this.#wasSent(message) ? "open" : "EXPIRED";',
    'return "EXPIRED";',
  ),
  "what is on its way expires": edit(
    DEADLINES,
    '    if (dialect && index < dialect.underWay) return "open";\n',
    "",
  ),
  "a device that has forgotten what it has is believed": edit(
    DEADLINES,
    "if (isSure || message.isDoubtful",
    "if (isSure || !isTold || message.isDoubtful",
  ),
  "what a welcome has told that was never confirmed is believed": edit(
    ADMISSION,
    "    if (!agreement.isTold) known.mayHaveForgotten = true;\n",
    "",
  ),
  "a device that has once forgotten what it has is never believed again": edit(
    DEADLINES,
    "    record.mayHaveForgotten = false;\n",
    "",
  ),
  "what expires stays in the outbox": edit(
    OUTBOX,
    "this.#fails(message, error);",
    "this.#takeWriter(message)?.failed(error);",
  ),
  "a deadline does not outlive the server": edit(
    TABLES,
    "expires === undefined ? null : Math.round(this.#offset + expires)",
    "expires === undefined ? null : null",
  ),
  "the core withdraws what the server may have": edit(
    CORE,
    "const mayBeThere = <i32>(entry < outSent);",
    "const mayBeThere = 0;",
  ),
  "the core does not note what it sends": edit(
    CORE,
    "if (DEADLINES) outSent = max(outSent, end);",
    "",
  ),
  "the core sends again what is late": edit(
    CORE,
    "if (second()) store<u8>(entry, LATE, 3);",
    "",
  ),
  "a client does not know what an earlier process may have sent": edit(
    CLIENT_OUTBOX,
    "core.write(entry.text, true, entry.wasSent)",
    "core.write(entry.text, true)",
  ),
  "a client's deadline does not outlive its process": edit(
    CLIENT_OUTBOX,
    "const end = expires === Infinity ? {} : {",
    "const end = expires < Infinity ? {} : {",
  ),
  "what a client has given up goes out": edit(
    CLIENT_OUTBOX,
    "    entry.text = undefined;\n    if (!this.#isKept || number === undefined) return tell();",
    "    if (!this.#isKept || number === undefined) return tell();",
  ),
};
