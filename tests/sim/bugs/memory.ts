/** Bugs of what outlives a connection, a process or a reset. */
import { type Bugs, edit } from "./bug.ts";

const CLIENT = "bridge/host/client.ts";
const DRIVER = "bridge/host/driver.ts";
const HANDOUT = "bridge/host/handout.ts";
const LEDGER = "server/store/ledger.ts";
const RECORD = "server/link/record.ts";
const SOCKET = "bridge/host/socket.ts";

/** A server that is started again has forgotten something. */
function forgets(change: string): Bugs[string] {
  const before = "this.record = new DeviceRecord(id, this, state ?? fresh);";
  return edit(LEDGER, before, `if (state) { ${change} }\n    ${before}`);
}

const SERVER_BUGS: Bugs = {
  "what was acknowledged, but not read, dies with the server": forgets("state.inbox.length = 0;"),
  "a restarted server takes repeats for new, dialect 1": forgets("state.heard.length = 0;"),
  "a restarted server takes repeats for new, dialect 2": forgets("state.positions.rxEpoch = 0;"),
  "the outbox dies with the server": forgets("state.outbox.length = 0;"),
  "a restarted server names its stream anew, and counts on": forgets("state.positions.txEpoch++;"),
  "a restarted server takes what it holds for sent": forgets(
    "state.positions.txSent = state.positions.txNext;",
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
  "a host takes another message for the one that it has": edit(
    HANDOUT,
    "if (this.#isAt(position) && this.#digest === digest) return true;",
    "if (this.#isAt(position)) return true;",
  ),
  "the device's epoch is used again": edit(
    "bridge/host/core.ts",
    "this.#set(R.TX_EPOCH, randomWord() || 1);",
    "this.#set(R.TX_EPOCH, 0x5eed);",
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
    CLIENT,
    "      this.#sent[i] = undefined;\n      this.#refuse(writer);",
    "      this.#sent[i] = undefined;",
  ),
};

export const MEMORY_BUGS: Bugs = { ...SERVER_BUGS, ...DEVICE_BUGS };
