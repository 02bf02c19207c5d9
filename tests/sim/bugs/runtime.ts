/** Bugs of the server's drivers: turn, connections, devices, transactions. */
import { type Bugs, edit } from "./bug.ts";

const APPLICATION = "server/runtime/application.ts";
const CONNECTION = "server/runtime/connection.ts";
const DEVICE = "server/runtime/device_driver.ts";
const GREETING = "server/runtime/greeting.ts";
const LEDGER = "server/store/ledger.ts";
const PACE = "server/runtime/pace.ts";
const READERS = "server/runtime/readers.ts";
const RUN = "server/runtime/run.ts";
const PLACES = "server/runtime/places.ts";
const POOL = "server/link/pool.ts";
const ROSTER = "server/runtime/roster.ts";
const SERVER = "server/server.ts";
const SERVING = "server/runtime/serving.ts";
const SESSION = "server/link/session.ts";
const TRANSACTIONS = "server/runtime/transactions.ts";
const TURN = "server/runtime/turn.ts";
const WORKINGS = "server/workings.ts";

/** Output before it is safe, and input while none may be processed. */
const TURN_BUGS: Bugs = {
  "acks and messages go out before the commit": edit(
    TURN,
    "    if (!this.#failure) this.#schedule();\n    else",
    "    if (!this.#failure) this.#clock.soon(() => result(true, this.#clock.now())), this.#schedule();\n    else",
  ),
  "who has gone waits for the store all the same": edit(GREETING, "    this.#forget?.();\n", ""),
  "the welcome goes out before the commit": edit(
    GREETING,
    "this.#await(this.#host.turn.whenSafe(() => this.#say(output)));",
    "this.#say(output);",
  ),
  "a message is handed out before it is safe": edit(
    SESSION,
    "return this.record.safe > 0 ? this.record.inbox[0] : undefined;",
    "return this.record.inbox[0];",
  ),
  "the application goes on before what is safe was sent": edit(
    DEVICE,
    "    this.#serving?.flush(safe, now); // before the application continues: its changes are not safe yet\n",
    "    if (safe) this.#readers.deliver();\n    this.#serving?.flush(safe, now);\n",
  ),
  "bytes are taken in while a commit is under way": edit(
    SERVING,
    "if (this.#held.length > 0 || this.#owner.turn.busy) this.#hold(bytes);",
    "if (this.#held.length > 0) this.#hold(bytes);",
  ),
  "a write is taken in while a commit is under way": edit(
    DEVICE,
    "else forget = this.turn.enter(() => this.#begin(text, options, write));",
    "else this.#begin(text, options, write);",
  ),
  "a message counts as processed while a commit is under way": edit(
    READERS,
    "if (!turn.busy && this.#waiting.length === 0) {",
    "if (this.#waiting.length === 0) {",
  ),
  "a connection takes over while a commit is under way": edit(
    GREETING,
    "this.#host.turn.enter(() => {\n      if (this.#over) return;",
    "void queueMicrotask(() => {\n      if (this.#over) return;",
  ),
  "a connection ends while a commit is under way": edit(
    SERVING,
    "  ended(reason: PeerError): void {\n    this.#owner.turn.enter(() => {",
    "  ended(reason: PeerError): void {\n    queueMicrotask(() => {",
  ),
  "what waits for the end of a commit is forgotten when it fails": edit(
    TURN,
    "for (const transfer of transfers) transfer.failed(refused.get(transfer));\n    this.#letIn();",
    "for (const transfer of transfers) transfer.failed(refused.get(transfer));\n    this.#waiting = new Set();",
  ),
};

/** Applications' transactions. */
const TRANSACTION_BUGS: Bugs = {
  "a message is processed before what consumed it is safe": edit(
    DEVICE,
    "this.#readers.consume(use, (use) => this.#host.transact(use, this));",
    "this.#readers.consume(use, (use) => {\n      this.session.shift();\n      this.touch();\n      return this.#host.transact(use);\n    });",
  ),
  "a message of a transaction is accepted though that fails": edit(
    TRANSACTIONS,
    "    this.device.session.unenqueue();\n",
    "",
  ),
  "a message is done with though what consumed it has failed": edit(
    TRANSACTIONS,
    "      this.consumed!.device.session.record.unprocess(text);\n",
    "",
  ),
  "a message of a transaction goes out before that is safe": edit(
    SESSION,
    "  enqueue(line: string, manner: Manner, now: number): void {",
    "  enqueue(line: string, manner: Manner, now: number): void {\n    queueMicrotask(() => this.resume());",
  ),
  "a transaction's message may be longer than the device takes by then": edit(
    SESSION,
    "this.#outbox.accept(checkText(line, this.#lineBytes), manner, now);",
    "this.#outbox.accept(line, manner, now);",
  ),
  "an ack goes out for what was received since the commit began": edit(
    TURN,
    "    this.#underWay = undefined;\n    this.#out();\n    // Only now",
    "    this.#underWay = undefined;\n    this.#letIn();\n    this.#out();\n    // Only now",
  ),
  "a failed commit leaves its transactions applied": edit(
    TURN,
    "    this.#undo();\n    const group = this.#group;\n    this.#applied = [];\n",
    "    const group = this.#group;\n    this.#applied = [];\n",
  ),
};

/** Applications that fail, and code of theirs that still runs. */
const APPLICATION_BUGS: Bugs = {
  "a loop of refusals holds up everybody": edit(
    PACE,
    "  refused(): Promise<void> {",
    "  refused(): Promise<void> {\n    if (this.#pause >= 0) return Promise.resolve();",
  ),
  "an application that has failed is not begun again": edit(
    APPLICATION,
    "turn.whenSafe(() => clock.soon(() => void (this.#isClosed || this.#run())));",
    "",
  ),
  "a promise that an application drops fails in silence": edit(
    RUN,
    "  whose.uncaught(event.reason);",
    "",
  ),
  "a message that an application has failed with counts as processed": edit(
    READERS,
    "      this.#handedOut = false;\n      this.#handedTo = undefined;\n      this.#failed(error);",
    "      this.#failed(error);",
  ),
  "what is left of a failed application goes on reading": edit(
    READERS,
    "    for (const reader of leaving) dismiss(reader, run.over!);",
    "    this.#waiting.unshift(...leaving);",
  ),
  "what is left of a failed application commits": edit(
    TRANSACTIONS,
    "host.closed() ?? run?.over ?? devices",
    "host.closed() ?? devices",
  ),
  "a message that has failed is never offered again": edit(
    READERS,
    "        trouble.rests = false;\n        turn.enter(this.deliver);",
    "",
  ),
  "a message is given up too early": edit(
    READERS,
    "trouble.attempts < attempts ||",
    "trouble.attempts < attempts - 1 ||",
  ),
  "a dead letter is in no commit": edit(
    LEDGER,
    "if (this.#lettersDiffer) this.#writeLetters(rows);",
    "",
  ),
};

/** Connections: one replaces another, some are dead. */
const CONNECTION_BUGS: Bugs = {
  "a newer connection goes on where the older one was": edit(
    DEVICE,
    "    this.#serving?.drop();\n    this.session.disconnect();",
    "    this.#serving?.drop();",
  ),
  "a new connection is refused while the old one seems to live": edit(
    DEVICE,
    "    this.#serving?.drop();\n    this.session.disconnect();",
    "    if (this.#serving) return connection.close();\n    this.session.disconnect();",
  ),
  "a silent connection holds up the next ones": edit(
    "server/runtime/reception.ts",
    "while (this.#waiting.length > 0 && this.#intake.take()) {",
    "while (this.#waiting.length > 0 && this.#intake.take() && this.#greetings.size < 2) {",
  ),
  "a device that takes nothing is never given up": edit(
    CONNECTION,
    "return now - this.#takenAt >= ms;",
    "return now - this.#takenAt >= 1000 * ms;",
  ),
  "a slow device is taken for one that takes nothing": edit(
    CONNECTION,
    "if (taken !== this.#taken) {",
    "if (taken < this.#taken) {",
  ),
  "a device is silent at the first look": edit(
    SERVING,
    "this.#connection.lookAgain(this.#look);",
    "turn.enter(this.#judge);",
  ),
  "a hello is missing at the first look": edit(
    GREETING,
    "this.#connection.lookAgain(() => this.#judge());",
    "this.#judge();",
  ),
  "a connection that says nothing may stay": edit(
    GREETING,
    "this.#connection.wakeAt(this.#deadline);\n    this.#connection.start",
    "this.#connection.start",
  ),
  "bytes behind the greeting are lost": edit(SERVING, "    this.#feed(ahead);\n", ""),
  "bytes that came during a commit are lost": edit(
    SERVING,
    "const held = this.#held;\n    this.#held = NOTHING;\n    this.#feed(held);",
    "this.#held = NOTHING;\n    this.#feed(NOTHING);",
  ),
  "bytes that are held are not copied": [
    ...edit(
      SERVING,
      "this.#held = concat(this.#held, bytes);",
      "this.#held = this.#held.length === 0 ? bytes as typeof NOTHING : concat(this.#held, bytes);",
    ),
  ],
  "a hello that waits for a commit is not copied": edit(
    GREETING,
    "const own = this.#host.turn.busy ? bytes.slice() : bytes;",
    "const own = bytes;",
  ),
  "more is written while a write is under way": edit(
    SERVING,
    "  flush(safe: boolean, now: number): void {\n    if (this.#over) return;\n    if (!this.#connection.isWriting) {",
    "  flush(safe: boolean, now: number): void {\n    if (this.#over) return;\n    {",
  ),
  "a deadline outlives its connection, and lets the newer one's keepalive wait": [
    ...edit(CONNECTION, "    this.#entry.clear();\n", ""),
    ...edit(CONNECTION, "if (!this.#closed) this.#entry.at(time);", "this.#entry.at(time);"),
  ],
  "keepalives stop while a commit is under way": edit(
    SERVING,
    "if (turn.busy) this.#keepAlive(now);",
    "if (turn.busy) this.#wakeLater(now);",
  ),
  "keepalives come late": edit(
    SESSION,
    'if (dialect.output === "" && now - this.#sent >= this.timeout / 4) dialect.output = "\\n";',
    'if (dialect.output === "" && now - this.#sent >= this.timeout / 3) dialect.output = "\\n";',
  ),
  "a silent device is not noticed while commits are under way": edit(
    SERVING,
    "if (isGone) this.#connection.lookAgain",
    "if (isGone && !turn.busy) this.#connection.lookAgain",
  ),
  "a device that is not read because of a commit is silent": edit(
    SESSION,
    "if (!reads || !this.wantsInput) this.#heard = now;",
    "if (!this.wantsInput) this.#heard = now;",
  ),
  "a device that another server has taken is welcomed with what was lost": edit(
    WORKINGS,
    '        this.#reception.cut(device.id, new PeerError("STALE_GREETING", why.message));\n',
    "",
  ),
  "a connection that is closed is still told of bytes": [
    ...edit(CONNECTION, "    this.#socket.close();\n", "    this.#socket.pause();\n"),
    ...edit(
      CONNECTION,
      "    if (this.#closed || this.#lingers) return;\n    if (!this.#seal) return",
      "    if (!this.#seal) return",
    ),
  ],
  "reading does not go on after a pause": edit(
    SERVING,
    "    this.#connection.resume();\n  };",
    "  };",
  ),
  "a send that a timeout has ended throws in the application's write": edit(
    SESSION,
    'throw new PeerError("SILENT",',
    'this.settled = this.write = () => { throw new TypeError("cancelled"); };\n      throw new PeerError("SILENT",',
  ),
  "a device that is asked for twice is fenced out by its own server": edit(
    "server/runtime/callers.ts",
    "if (caller.ledger) this.#forgetIfUnused(id, caller);",
    "this.#forgetIfUnused(id, caller);",
  ),
  "a device whose key was changed stays": edit(
    SERVER,
    "for (const id of this.#access.setKeys(keys)) this.#it.devices.get(id)?.cut(reason);",
    "this.#access.setKeys(keys);",
  ),
};

/** Strangers, who take more than their share. */
const STRANGER_BUGS: Bugs = {
  "strangers keep devices with a key out": edit(
    PLACES,
    "return Math.max(0, Math.floor((this.connections - named) / 2));",
    "return this.connections;",
  ),
  "strangers have all the memory": edit(
    POOL,
    "return !isOpen || !this.#hasNamed() || this.#takenOpen - beside < this.#most / 2;",
    "return true;",
  ),
  "the queues of all devices have no bound": edit(
    POOL,
    "if (this.#taken - beside >= this.#most) return false;",
    "",
  ),
  "when the queues of all devices are full, one device can hold up another": edit(
    SESSION,
    "return inbox.length > 0 && !this.share.hasRoom;",
    "return !this.share.hasRoom;",
  ),
  "a stranger is forgotten while messages wait": edit(
    SESSION,
    "return inbox.length === 0 && !outbox.some(isOfApplication);",
    "return inbox.length + outbox.length >= 0;",
  ),
};

/** The operator has a device forgotten, or its waiting messages dropped. */
const OPERATOR_BUGS: Bugs = {
  "what is dropped may still be acknowledged": edit(
    DEVICE,
    '    if (this.inbox + this.outbox > 0) this.cut(new PeerError("LOST", "its messages were dropped"));\n',
    "",
  ),
  "a message that was dropped is the one that the application has read": edit(
    DEVICE,
    "    this.#readers.forget();\n    const cleared",
    "    const cleared",
  ),
  "a device that was forgotten keeps its connection": edit(
    ROSTER,
    '    device.cut(new PeerError("LOST", why.message));\n',
    "",
  ),
  "an ack goes out for what came while its device was forgotten": edit(
    DEVICE,
    "if (this.isForgotten || this.#isLost) return; // nothing of it is safe",
    "if (this.#isLost) return;",
  ),
};

export const RUNTIME_BUGS: Bugs = {
  ...TURN_BUGS,
  ...TRANSACTION_BUGS,
  ...APPLICATION_BUGS,
  ...CONNECTION_BUGS,
  ...STRANGER_BUGS,
  ...OPERATOR_BUGS,
};
