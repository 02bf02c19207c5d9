/** Bugs of several servers on one store. Those of the store itself are edits of the model. */
import { type Bugs, edit } from "./bug.ts";

const ADMISSION = "server/admission/admission.ts";
const CALLERS = "server/runtime/fleet_callers.ts";
const DISTANT = "server/runtime/distant_device.ts";
const ORDERS = "server/runtime/orders.ts";
const EXECUTIONS = "server/runtime/executions.ts";
const GREETING = "server/runtime/greeting.ts";
const LEDGER = "server/store/ledger.ts";
const MEMBER = "server/runtime/fleet_member.ts";
const MEMBERSHIP = "server/runtime/membership.ts";
const OFFICE = "server/runtime/post_office.ts";
const OUTBOX = "server/link/outbox.ts";
const PENDING = "server/runtime/pending_write.ts";
const READERS = "server/runtime/readers.ts";
const ROSTER = "server/runtime/roster.ts";
const TRANSACTIONS = "server/runtime/transactions.ts";
const TURN = "server/runtime/turn.ts";
const WORKINGS = "server/workings.ts";
const STORE = "tests/sim/fleet_store.ts";
const DISK = "tests/sim/fleet_disk.ts";

/** Which server has a device. */
const LEASE_BUGS: Bugs = {
  "fleet: the token is not checked on commit": edit(
    DISK,
    "if (token !== this.#leaseOf(id).token) return id;",
    "if (token > this.#leaseOf(id).token) return id;",
  ),
  "fleet: a record that is here is believed without asking the store": edit(
    ADMISSION,
    "if (record && !this.#host.isShared) return next(record);",
    "if (record) return next(record);",
  ),
  "fleet: a device is welcomed by one record and served by another": edit(
    GREETING,
    "    if (!take) return this.#admit(admitted);\n",
    "    if (!take || this.#known) return this.#admit(admitted);\n",
  ),
  "fleet: a device that was taken, and not served, is forgotten": edit(
    MEMBER,
    "    if (!acquired.state) return ledger;\n",
    "    if (!acquired.state || acquired.mail?.length === 0) return ledger;\n",
  ),
  "fleet: an attempt to take a device counts as failed when nobody answers": edit(
    MEMBER,
    "      this.#membership.doubt(id);\n",
    "",
  ),
  "fleet: what a beat has brought is believed from its answer on, not from its question": edit(
    MEMBERSHIP,
    "      this.#holdFrom(begun);\n",
    "      this.#holdFrom(clock.now());\n",
  ),
  "fleet: a device that was forgotten since it has greeted is what it was": edit(
    CALLERS,
    "const fresh = look && !look.state ? known.state : undefined;",
    "const fresh = known.state;",
  ),
  "fleet: that others have looked at a device is not noticed": edit(
    LEDGER,
    "if (looks !== this.#looks) this.record.mayHaveForgotten = true;",
    "",
  ),
  "fleet: a lease is kept over a pause": edit(
    READERS,
    "    if (!isHeld) return undefined;\n",
    "",
  ),
  "fleet: what was lost is not cut off": edit(
    MEMBER,
    "      if (here && here.ledger.token < token) turn.lose(new FencedError(id));\n",
    "",
  ),
  "fleet: an old note counts though the device has come back": edit(
    MEMBER,
    "if (here && here.ledger.token < token) turn.lose",
    "if (here) turn.lose",
  ),
  "fleet: every hint is taken for a loss": edit(
    MEMBERSHIP,
    "    await this.#fleet.join(() => this.hint());\n",
    "    await this.#fleet.join(() => {\n" +
      '      this.#host.lost({ note: 0, device: "A", token: Infinity });\n' +
      "      this.hint();\n    });\n",
  ),
  "fleet: what a dead process has left is looked after by nobody": edit(
    MEMBERSHIP,
    "new Set([...this.#doubtful, ...orphans])",
    "new Set([...this.#doubtful])",
  ),
  "fleet: what was adopted waits for its device": edit(
    MEMBER,
    "      if (device.inbox > 0) begin(device);\n",
    "",
  ),
  "fleet: the new owner keeps the connection of the old one": edit(
    ROSTER,
    '    device.drop(new PeerError("LOST", error.message));\n',
    "",
  ),
};

/** Bugs of the store. */
const COMMIT_BUGS: Bugs = {
  "fleet: a commit of unknown outcome is taken for failed": edit(
    STORE,
    "(isDone) => pending.end(isDone ? pending.result! : { error: refusal() }),",
    "() => pending.end({ error: refusal() }),",
  ),
  "fleet: a commit of unknown outcome is taken for done": edit(
    STORE,
    "(isDone) => pending.end(isDone ? pending.result! : { error: refusal() }),",
    "() => pending.end(pending.result ?? { refused: new Map() }),",
  ),
  "fleet: a commit that has not arrived yet is taken for one that never will": edit(
    DISK,
    "    row.barred = number;\n",
    "",
  ),
};

/** Transactions whose statements are executed ahead of their commit. */
const EXECUTION_BUGS: Bugs = {
  "fleet: an application's slow transaction holds up the link": [
    ...edit(
      EXECUTIONS,
      "  /** Whether a group can be committed. */\n",
      "  get isBusy(): boolean {\n" +
        "    return this.#groups.values().some(({ execution }) => !execution);\n  }\n\n",
    ),
    ...edit(
      TURN,
      "    if (this.#isAtEnd || this.#closed) return;\n",
      "    if (this.#isAtEnd || this.#closed || this.#executions?.isBusy) return;\n",
    ),
  ],
  "fleet: the transaction of a device that was lost goes on": edit(
    TURN,
    "    lost.push(...this.#executions?.lose(error.device) ?? []);\n",
    "",
  ),
  "fleet: what the records refuse is committed with what was executed beside it": edit(
    TURN,
    "if (refused.size === 0) return group;",
    "if (refused.size < 2) return group;",
  ),
  "fleet: what the database has left for later counts as executed": edit(
    EXECUTIONS,
    "(it) => !execution.works.includes(it)",
    "() => false",
  ),
  "fleet: a transaction is taken for done when it is executed, and its commit fails": edit(
    TURN,
    "    if (group) this.#executions!.again(group, !ledger);\n",
    "    for (const transfer of group?.transfers ?? []) transfer.done();\n" +
      "    if (group) this.#executions!.done(group);\n",
  ),
};

/** Mail for devices that other servers have. */
const MAIL_BUGS: Bugs = {
  "fleet: what a transaction posts is left out": edit(
    TRANSACTIONS,
    "operation instanceof Posting ? [operation.post] : []",
    "operation instanceof Posting ? [] : []",
  ),
  "fleet: mail does not end in the commit that does what it says": edit(
    ORDERS,
    "    ledger.takeMail(number);\n",
    "",
  ),
  "fleet: a beat that is under way brings mail again": edit(
    OFFICE,
    "        entry.isSafe = true;\n",
    "        this.#taken.delete(number);\n",
  ),
  "fleet: mail overtakes mail for which there is no room": edit(
    OFFICE,
    "      check: () => this.#checkEarlier(number, entry),\n",
    "      check: () => {},\n",
  ),
  "fleet: who has posted a message is told that it has arrived when it is in the outbox": edit(
    OFFICE,
    'isDone: order !== undefined && "set" in order,',
    "isDone: true,",
  ),
  "fleet: the process that has a device keeps to itself what becomes of another one's message":
    edit(
      OUTBOX,
      "    if (!writer && message.text !== WITHDRAWN) this.#reply(message, DONE);\n",
      "",
    ),
  "fleet: a message that is not sent any more is never told of": edit(
    OUTBOX,
    "    if (!writer) this.#reply(message, failure(why));\n  }\n",
    "  }\n",
  ),
  "fleet: an outcome is told in another commit than the one that it tells of": edit(
    LEDGER,
    "this.#altered = this.#memos = this.#mail = undefined;\n    this.#replies = undefined;\n",
    "this.#altered = this.#memos = this.#mail = undefined;\n",
  ),
  "fleet: a message is taken for delivered when its device moves": edit(
    PENDING,
    "    if (!this.#isElsewhere) this.end(reason);\n",
    "    if (this.#isElsewhere) this.settle(true);\n    else this.end(reason);\n",
  ),
  "fleet: mail that an operator has had dropped counts as gone before that is safe": edit(
    OFFICE,
    "        ended.push(its);\n",
    "        its.isSafe = true;\n",
  ),
  "fleet: an operator's clear is done, and its mail does not end": edit(
    OFFICE,
    "      ledger.takeMail(number);\n      if (entry.to !== undefined) ledger.replied(entry.to, dropped);\n",
    "      if (entry.to !== undefined) ledger.replied(entry.to, dropped);\n",
  ),
  "fleet: who has had a device forgotten is never told": edit(
    OFFICE,
    "        if (entry.to !== undefined) ledger.replied(entry.to, dropped);\n" +
      "        entry.isApplied = true;\n      },\n",
    "        entry.isApplied = true;\n      },\n",
  ),
  "fleet: mail for which there is no room is lost": edit(
    ORDERS,
    'new Set(["CLOSED", "FENCED", "OUTBOX_FULL", "STORE_FAILED"])',
    'new Set(["CLOSED", "FENCED", "STORE_FAILED"])',
  ),
};

/** What servers show each other. */
const SIGHT_BUGS: Bugs = {
  "fleet: what was shown before a device was taken counts for more than what was shown since": edit(
    DISTANT,
    "    if (token < this.#token) return;\n",
    "",
  ),
  "fleet: a device that is taken is not shown": edit(
    WORKINGS,
    "this.member!.overview.changed(event.device);",
    'if (event.event !== "connected") this.member!.overview.changed(event.device);',
  ),
};

export const FLEET_BUGS: Bugs = {
  ...LEASE_BUGS,
  ...COMMIT_BUGS,
  ...EXECUTION_BUGS,
  ...MAIL_BUGS,
  ...SIGHT_BUGS,
};
