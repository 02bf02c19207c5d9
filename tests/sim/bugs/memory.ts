/** Bugs in state that outlives a connection, a process or a reset. */
import { type Bugs, edit } from "./bug.ts";

const CLIENT = "bridge/host/client.ts";
const DIALECT2 = "server/link/dialect2.ts";
const DRIVER = "bridge/host/driver.ts";
const HANDOUT = "bridge/host/handout.ts";
const OUTBOX = "bridge/host/outbox.ts";
const LEDGER = "server/store/ledger.ts";
const MARK = "server/store/sqlite/mark.ts";
const RECORD = "server/link/record.ts";
const SOCKET = "bridge/host/socket.ts";

/** A restarted server has forgotten something. */
function forgets(change: string): Bugs[string] {
  const before = "this.record = new DeviceRecord(id, this, state ?? fresh);";
  return edit(LEDGER, before, `if (state) { ${change} }\n    ${before}`);
}

const SERVER_BUGS: Bugs = {
  "what was acknowledged, but not read, dies with the server": forgets("state.inbox.length = 0;"),
  "a restarted server takes repeats for new, dialect 1": forgets("state.heard.length = 0;"),
  "a restarted server takes repeats for new, dialect 2": forgets("state.positions.rxEpoch = 0;"),
  "the outbox dies with the server": forgets("state.outbox.length = 0;"),
  "a restarted server renames its stream, and counts on": forgets("state.positions.txEpoch++;"),
  "a restarted server takes what it holds for sent": forgets(
    "state.positions.txSent = state.positions.txNext;",
  ),
  "nobody is told that the store lacks what a device sent": edit(
    DIALECT2,
    "if (isKnown && !continues) {",
    "if (isKnown && !continues && connects < 0) {",
  ),
  "nobody is told that the store never sent what a device has": edit(
    DIALECT2,
    'older = "it has messages that this store never sent";',
    "",
  ),
  "that the store is old is forgotten with a welcome that is not answered": edit(
    DIALECT2,
    "else if (hello.rxEpoch !== 0 && connects > 0)",
    "else if (hello.rxEpoch !== 0 && connects < 0)",
  ),
  "a store is taken for old by every device that boots": edit(
    DIALECT2,
    "if (isKnown && !continues) {",
    "if (!continues) {",
  ),
  "a date that is set makes messages older": edit(
    MARK,
    "return time + machine.uptime - uptime;",
    "return time + Math.max(0, clock.date() - date);",
  ),
  "a store that was killed is said to have lost its log": edit(
    MARK,
    "if (is_open === 0 || hasLog) return undefined;",
    "if (is_open === 0) return undefined;",
  ),
  "numbers do not come round": edit(
    RECORD,
    "this.positions.txNext = (txNext + 1) >>> 0;",
    "this.positions.txNext = Math.min(txNext + 1, 2 ** 32 - 1);",
  ),
  "a message without qos outlives its connection": edit(
    RECORD,
    "withdraw(message: Outgoing): void {",
    "withdraw(message: Outgoing): void {\n    if (!message.qos) return;",
  ),
  "the store is not told of a message that was altered": edit(
    LEDGER,
    "if (!isNew) (this.#altered ??= new Set()).add(message);",
    "",
  ),
  "the store is not told that a position has changed": edit(
    LEDGER,
    "    this.#positions = true;\n",
    "",
  ),
  "the store is told what a failed commit was told, and no more": edit(
    LEDGER,
    "if (!this.differs || this.#removed) return;",
    "if (!this.differs) return;\n    queueMicrotask(() => this.committed());",
  ),
};

const DEVICE_BUGS: Bugs = {
  "the device's position is not kept": edit(
    DRIVER,
    "    this.#owner.positionChanged(this.#position);\n",
    "",
  ),
  "the device's position is kept one message late": edit(
    DRIVER,
    "    this.#position = { epoch, next };\n    this.#owner.positionChanged(this.#position);",
    "    const late = this.#position;\n    this.#position = { epoch, next };\n" +
      "    this.#owner.positionChanged(late);",
  ),
  "a host counts a message as processed when it hands it out": edit(
    CLIENT,
    "return this.#memory === undefined;",
    "return true;",
  ),
  "a host hands out again what another connection brings again": edit(
    CLIENT,
    "if (connected) this.#up();",
    "if (connected) this.#up(), this.#handout = new Handout();",
  ),
  "a host's memory counts a message as taken while the application has it": edit(
    HANDOUT,
    "const isDone = this.#text === undefined && this.isAt(position);",
    "const isDone = this.isAt(position);",
  ),
  "the device's epoch is used again": edit(
    "bridge/host/core.ts",
    "this.#set(R.TX_EPOCH, randomWord() || 1);",
    "this.#set(R.TX_EPOCH, 0x5eed);",
  ),
  "a client repeats the milliseconds of its first hello in later ones": edit(
    "bridge/host/core.ts",
    "    if (this.#clock) {\n",
    "    if (this.#clock && this.#bytes(this.#digits, MS_DIGITS).every((digit) => digit === 48)) {\n",
  ),
  "a client believes a server silent before it has looked": edit(
    DRIVER,
    "if (this.#mayGiveUp(now)) this.#lookFirst(now);\n      else this.#run(now);",
    "this.#run(now);",
  ),
  "a client reads on into a buffer that it has given away": edit(
    SOCKET,
    "this.#input = this.#input.slice();",
    "",
  ),
  "a client collects into the buffer that is being sent": edit(
    SOCKET,
    "[this.#output, this.#written] = [this.#written, this.#output];",
    "",
  ),
  "a client that was taken from once is stalled late": edit(
    SOCKET,
    "    if (!this.#waits) this.#takenBefore = this.#socket.taken;\n",
    "",
  ),
  "a client takes a server for stalled that has just taken something": edit(
    SOCKET,
    "if (!this.#waits) this.#takenBefore",
    "this.#takenBefore",
  ),
  "a client does not read on after a pause": edit(
    SOCKET,
    "      this.#socket.resume();\n",
    "",
  ),
  "a client tells nobody whose message has become too long": edit(
    OUTBOX,
    "if (this.#isTooLong(entry)) this.#refuse(entry, this.#first + i);",
    "",
  ),
  "a client whose clock has jumped ahead waits for a timer of before": edit(
    DRIVER,
    "this.#timerDue > now && ",
    "",
  ),
  "a client stays at an address where nobody is": edit(
    DRIVER,
    "if (isAway || (!this.#up && reason instanceof PeerError)) this.#addresses.next();",
    "",
  ),
};

/** Bugs of a client's memory. */
const OUTBOX_BUGS: Bugs = {
  "a client does not keep every fourth message": edit(
    OUTBOX,
    "written.push({ number: this.#next + i, text, ...end });",
    "if ((this.#next + i) % 4) written.push({ number: this.#next + i, text, ...end });",
  ),
  "a restarted client renames its stream, and counts on": edit(
    CLIENT,
    "streamOf(kept.outbox);",
    "streamOf({ ...kept.outbox, epoch: kept.outbox.epoch ^ 2 });",
  ),
  "a restarted client closes the gaps in its numbers": edit(
    OUTBOX,
    "      this.#add(this.#waiting, silent(text, expires - owner.behind, true));",
    "      if (text) this.#add(this.#waiting, silent(text, expires - owner.behind, true));",
  ),
  "a restarted client counts on behind the last message that it has kept": edit(
    OUTBOX,
    "this.#next = next;",
    "this.#next = (messages.at(-1)?.number ?? first - 1) + 1;",
  ),
  "a restarted client does not know yet what it has sent": edit(
    OUTBOX,
    "    this.#fill(false);\n",
    "",
  ),
  "a client forgets what it has sent": edit(
    OUTBOX,
    "first: this.#first,",
    "first: this.#first + this.#sent.length,",
  ),
  "a client keeps what it has refused": edit(
    OUTBOX,
    "failed(error: LocalError): void {\n    for (const entry of this.#fresh.splice(0)) entry.fail(error);",
    "failed(error: LocalError): void {\n    for (const entry of this.#fresh) entry.fail(error);",
  ),
  "a client says that a message is kept before it is": edit(
    OUTBOX,
    '    signal?.addEventListener("abort", abort);\n',
    '    signal?.addEventListener("abort", abort);\n    if (until === "kept") resolve(true);\n',
  ),
  "a client hands out a message before the one before it is safely done with": edit(
    CLIENT,
    "return !this.#memory || this.#handout.isAt(this.#core.position) || !this.#hasProgress;",
    "return true;",
  ),
};

export const MEMORY_BUGS: Bugs = { ...SERVER_BUGS, ...DEVICE_BUGS, ...OUTBOX_BUGS };
