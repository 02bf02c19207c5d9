/** Bugs of channels whose devices other servers of a fleet have. */
import { type Bugs, edit } from "./bug.ts";

const DISTANT = "server/channels/distant_thing.ts";
const FOREIGN = "server/channels/foreign_requests.ts";
const OFFICE = "server/runtime/post_office.ts";
const STORE = "tests/sim/fleet_store.ts";
const TRANSACTIONS = "server/runtime/transactions.ts";

export const FLEET_CHANNEL_BUGS: Bugs = {
  "fleet: a setting of another server's device counts as safe when it is on its way": edit(
    DISTANT,
    "const error = errorOf(await this.#device.ask({ set: channel, value, options }));",
    "const done = this.#device.ask({ set: channel, value, options });\n" +
      "    const error = errorOf(await Promise.race([done, {}]));",
  ),
  "fleet: what a transaction sets elsewhere is posted though the transaction fails": edit(
    STORE,
    "    const left = works.filter((work) => !refused.has(work));\n",
    "    const left = works.filter((work) => !refused.has(work));\n" +
      "    for (const work of refused.keys()) {\n" +
      "      if (this.#refusesPosts(work)) continue;\n" +
      "      for (const post of work.posts ?? []) {\n" +
      "        this.disk.post(this.name, post, this.#now, this.world);\n      }\n    }\n",
  ),
  "fleet: a setting that is posted ends with its mail, and is not done": edit(
    TRANSACTIONS,
    '  if ("set" in order) return host.set(device, order.set, order.value, order.options);\n',
    '  if ("set" in order) {\n' +
      "    const operation = host.set(device, order.set, order.value, order.options);\n" +
      "    return device.connected ? operation : { ...operation, apply() {}, undo() {}, done() {} };\n  }\n",
  ),
  "fleet: a request of another server is over when its message has arrived": edit(
    OFFICE,
    "if (outcome) this.#askers.get(number)?.told(outcome);",
    "const asker = this.#askers.get(number);\n    this.#askers.delete(number);\n" +
      "    if (outcome) asker?.told(outcome);",
  ),
  "fleet: the answer to another server's request is not told to that": edit(
    FOREIGN,
    "if (text === undefined || parseInt(text) < this.#now()) return undefined;",
    "if (text === undefined || parseInt(text) > 0) return undefined;",
  ),
  "fleet: where an answer is told dies with the process that has the device": [
    ...edit(
      FOREIGN,
      "        record.setMemo(key, `${now + deadline} ${from}`);\n",
      "        ASKERS.set(this.#device.clock, `${key} ${now + deadline} ${from}`);\n",
    ),
    ...edit(
      FOREIGN,
      "    const text = record.memos.get(key);\n    if (text === undefined ||",
      "    const asked = ASKERS.get(this.#device.clock);\n" +
        "    const text = asked?.startsWith(`${key} `) ? asked.slice(key.length + 1) : undefined;\n" +
        "    if (text === undefined ||",
    ),
    ...edit(
      FOREIGN,
      "export class ForeignRequests {",
      "const ASKERS = new WeakMap<object, string>();\n\nexport class ForeignRequests {",
    ),
  ],
};
