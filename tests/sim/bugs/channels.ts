/** Bugs of the layer above the link. */
import { type Bugs, edit } from "./bug.ts";

const APP = "server/channels/app.ts";
const REQUESTS = "server/protocol/requests.ts";
const STATES = "server/channels/states.ts";
const THING = "server/channels/thing_driver.ts";
const TRANSACTIONS = "server/runtime/transactions.ts";

export const CHANNEL_BUGS: Bugs = {
  "a setting is sent though one of its channel is on its way": edit(
    THING,
    "if (!session.connected || this.#isUnderWay(channel)) return false;",
    "if (!session.connected) return false;",
  ),
  "a server that is started again does not know what is on its way": edit(
    THING,
    'if (marked?.mark === "set") this.#underWay.set(marked.name, seq);',
    "void marked, seq;",
  ),
  "what is due does not outlive the server": edit(
    STATES,
    "    this.#record = record;\n    this.index();\n",
    "    this.#record = record;\n",
  ),
  "a device that was started is not told again what it should be": edit(
    THING,
    "        met = this.#states.forgotten();\n        record.setMemo",
    "        record.setMemo",
  ),
  "what is on its way when a device starts is not sent again": edit(
    STATES,
    "if (!state.desired) continue;",
    "if (!state.desired || state.isAwaited) continue;",
  ),
  "what is desired is dropped with the messages": edit(
    THING,
    "    this.#underWay.clear();\n    this.#parted(this.#states.forgotten());\n",
    "    this.#underWay.clear();\n",
  ),
  "a report that is older than a setting is a change at the device": edit(
    STATES,
    "if (!desired || isOpen(state) || isSame(reported, desired)) {",
    "if (!desired || isSame(reported, desired)) {",
  ),
  "the answer to any setting counts as the one to the last": edit(
    STATES,
    "return isAwaited && tag === sent;",
    "return isAwaited;",
  ),
  "an answer without a value is one to what is desired by now": edit(
    STATES,
    "isAnswered(state, tag) && !state.isDue ? state.desired?.text",
    "isAnswered(state, tag) ? state.desired?.text",
  ),
  "a change at the device that loses is not set back": edit(
    STATES,
    'if (rule === "loses") return this.put(name, { ...rest, reported, isDue: true });',
    'if (rule === "loses") return this.put(name, { ...rest, reported });',
  ),
  "a change at the device wins where it should lose": edit(
    STATES,
    'if (rule === "loses") return',
    'if (rule === "loses" && isOpen(state)) return',
  ),
  "of several settings in an outage the first one stays": edit(
    STATES,
    "    this.put(name, { ...state, desired, isDue: true });\n  }\n\n  /** The setting was sent",
    "    this.put(name, { ...state, desired: state.isDue ? state.desired! : desired, isDue: true });\n" +
      "  }\n\n  /** The setting was sent",
  ),
  "what a transaction has set stays when it fails": edit(
    THING,
    "        if (sent) this.#unsend(channel);\n        states.put(channel, before);\n",
    "        if (sent) this.#unsend(channel);\n",
  ),
  "a setting's message stays when its transaction fails": edit(
    THING,
    "        if (sent) this.#unsend(channel);\n",
    "        if (sent) this.#underWay.delete(channel);\n",
  ),
  "a start stays when its transaction fails": edit(
    THING,
    "        for (const [key, text] of before) record.setMemo(key, text);\n        this.#states.index();\n",
    "",
  ),
  "what a device reports is told before it is safe": edit(
    THING,
    "        sent = this.#send(channel);\n      },",
    "        sent = this.#send(channel);\n        this.#tell(channel, before, report);\n      },",
  ),
  "what a device reports is not in the transaction of its message": edit(
    APP,
    "    collector(context.tx).add(this.#thing.reporting(marked.name, report, holding.local));\n",
    "    const operation = this.#thing.reporting(marked.name, report, holding.local);\n" +
      "    this.#thing.device.turn.enter(() => (operation.apply(), operation.done()));\n",
  ),
  "the answer to a request is told before it is safe": edit(
    THING,
    "if (isOfRequest(answer)) return this.afterwards(() => this.#settle(answer));",
    "if (isOfRequest(answer)) {\n      this.#settle(answer);\n" +
      "      return this.afterwards(() => {});\n    }",
  ),
  "a request that was delivered expires": edit(
    REQUESTS,
    "      isOver = true;\n      unanswered();\n",
    '      isOver = true;\n      reject(new LocalError("EXPIRED", channel));\n',
  ),
  "a request that nobody answers ends when it has arrived": edit(
    REQUESTS,
    "if (!isOver || !isThere) return;",
    "if (!isThere) return;",
  ),
  "a request that has arrived waits for ever": edit(
    REQUESTS,
    "      isThere = true;\n      unanswered();\n",
    "      isThere = true;\n",
  ),
  "the answer to a device is not in the transaction of its question": edit(
    APP,
    '    tx.write(this.#thing.id, formatMarked({ mark: "answer", name, tag, ...text }));\n',
    '    void tx, this.#thing.device.write(formatMarked({ mark: "answer", name, tag, ...text }));\n',
  ),
  "what was set for a question stays when that is refused": edit(
    APP,
    "      if (!(error instanceof FaultError)) throw error;\n      forget();\n",
    "      if (!(error instanceof FaultError)) throw error;\n",
  ),
  "what a device does not take is not told": edit(
    STATES,
    "this.put(name, rest.isDue ? rest : { ...rest, fault });",
    "void fault, this.put(name, rest);",
  ),
  "another process takes the clock of the one before for its own": edit(
    "server/channels/clock.ts",
    "run === this.#run ?",
    "run > 0 ?",
  ),
  "a device's milliseconds do not come round": edit(
    "server/channels/clock.ts",
    "return (ms % ROUND + ROUND) % ROUND;",
    "return Math.max(0, ms);",
  ),
  "the milliseconds of a boot are taken for those of the one before": edit(
    "server/channels/clock.ts",
    "if (last?.epoch === epoch) keep(",
    "if (last?.epoch !== epoch) keep(",
  ),
  "a hello counts from when its connection is confirmed": edit(
    "server/channels/clock.ts",
    "Math.round(this.#clock.now() - ago)",
    "Math.round(this.#clock.now())",
  ),
  "of several messages that share a transaction the first one is processed": edit(
    TRANSACTIONS,
    "{ device: consumer, count: 1 + taken }",
    "{ device: consumer, count: 1 }",
  ),
  "a transaction takes messages that are not safe": edit(
    TRANSACTIONS,
    "record && n + 1 < record.safe ?",
    "record && n + 1 < record.inbox.length ?",
  ),
};
