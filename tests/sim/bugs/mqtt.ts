/** Bugs of the bridge to an MQTT broker. */
import { type Bugs, edit } from "./bug.ts";

const BRIDGE = "bridge/mqtt/bridge.ts";
const BROKER = "bridge/mqtt/broker.ts";
const IN = "bridge/mqtt/incoming.ts";
const OUT = "bridge/mqtt/outgoing.ts";
const ROWS = "bridge/mqtt/rows.ts";
const SCHEMA = "bridge/mqtt/schema.ts";
const SESSION = "bridge/mqtt/mqtt_session.ts";

/** Messages to the broker. */
const PUBLISHING: Bugs = {
  "a publication goes out before it is safe as sent": edit(
    BROKER,
    "const sent = able.filter(({ isSent }, i) => isSent && i < free);",
    "const sent = able.filter((_, i) => i < free);",
  ),
  "PUBREL goes out before the publication is safe as released": edit(
    OUT,
    'if (refused === undefined) this.#outlet.ask({ does: "release", packet, seq });',
    'if (refused === undefined) this.#outlet.answer("pubrel", packet), this.#outlet.ask({ does: "release", packet, seq });',
  ),
  "a publication is done with at PUBREC": edit(
    OUT,
    'if (refused === undefined) this.#outlet.ask({ does: "release", packet, seq });',
    'if (refused === undefined) this.#outlet.answer("pubrel", packet), this.#outlet.ask({ does: "complete", packet, seq, topic });',
  ),
  "a publication is not in the transaction of what the device has said": edit(
    BRIDGE,
    "    publish(tx, this.#schema, message, when);\n",
    "    void this.#server!.transaction((own) => publish(own, this.#schema, message, when)).catch(() => {});\n",
  ),
  "what waits for the broker has no bound": edit(
    BRIDGE,
    "    this.#publish(tx, message, await this.#room.take(...sizeOf(message)));\n",
    "    this.#put(tx, message);\n",
  ),
  "a publication goes out before one that waits": edit(
    SCHEMA,
    "      WHEN EXISTS (SELECT 1 FROM mqtt_out WHERE stage = ${WAITING}) THEN ${WAITING}\n",
    "",
  ),
  "the older value of a state that waits stays": edit(
    ROWS,
    "DO UPDATE SET payload = excluded.payload`",
    "DO NOTHING`",
  ),
  "the broker's receive maximum is ignored": edit(
    SESSION,
    "this.#window = Math.min(window, granted.receiveMaximum);",
    "this.#window = window;",
  ),
  "no window bounds what is sent again": edit(
    OUT,
    "      if (underWay >= window) return;\n",
    "",
  ),
  "publications are sent again in another order": edit(
    OUT,
    "for (const [packet, out] of this.#all) {\n      if (!out.isDue) continue;",
    "for (const [packet, out] of [...this.#all].reverse()) {\n      if (!out.isDue) continue;",
  ),
  "what is released is published again": edit(
    OUT,
    "if (!isKnown) Object.assign(out, { isReleased: false, isAgain: false });",
    "Object.assign(out, { isReleased: false, isAgain: isKnown && out.isAgain });",
  ),
  "what is released is published again by the next process": edit(
    ROWS,
    "isReleased: Number(row.stage) === RELEASED,",
    "isReleased: Number(row.stage) === WAITING,",
  ),
  "what is sent again is not said to be so": edit(
    OUT,
    "for (const one of kept) this.#add(one, true);",
    "for (const one of kept) this.#add(one, false);",
  ),
  "what a process finds under way goes with another id": edit(
    OUT,
    "const packet = packetId(one.seq);",
    "const packet = packetId(one.seq) + (isAgain ? 1 : 0);",
  ),
  "a state takes the place of one that is under way": [
    ...edit(
      SCHEMA,
      "mqtt_out (topic)\n  WHERE retain = 1 AND stage = ${WAITING}`",
      "mqtt_out (topic)\n  WHERE retain = 1 AND stage <= ${SENT}`",
    ),
    ...edit(
      ROWS,
      "ON CONFLICT (topic) WHERE retain = 1 AND stage = ${WAITING}\n",
      "ON CONFLICT (topic) WHERE retain = 1 AND stage <= ${SENT}\n",
    ),
  ],
  "a task that an outage has cut short stays begun": edit(
    SESSION,
    "for (const task of this.#tasks.splice(0)) this.#forget(task);",
    "this.#tasks.splice(0);",
  ),
};

/** Messages from it. */
const DELIVERING: Bugs = {
  "PUBREC goes out before the message is safe": edit(
    IN,
    '    this.#ids.set(packet, "pending");\n',
    '    this.#ids.set(packet, "pending");\n    this.#outlet.answer("pubrec", packet);\n',
  ),
  "a message that comes again is delivered again": edit(
    IN,
    '    if (known === "taken") return this.#outlet.answer("pubrec", packet);\n    if (known) return;',
    '    if (known && known !== "taken") return;',
  ),
  "the id of a message does not outlive the server": edit(
    ROWS,
    "        tx.run(`INSERT INTO mqtt_in VALUES (?) ON CONFLICT DO NOTHING`, task.packet);\n",
    "",
  ),
  "the id of a message is forgotten at PUBREC": edit(
    IN,
    'if (task.qos === 2) this.#ids.set(packet, "taken");',
    "if (task.qos === 2) this.#ids.delete(packet);",
  ),
  "PUBCOMP goes out before the id of the message is gone": edit(
    IN,
    '    this.#ids.set(packet, "going");\n',
    '    this.#ids.set(packet, "going");\n    this.#outlet.answer("pubcomp", packet);\n',
  ),
  "the id of a message is never forgotten": edit(
    ROWS,
    "      return tx.run(`DELETE FROM mqtt_in WHERE packet = ?`, task.packet);",
    "      return void task.packet;",
  ),
  "the id of a message is never free again": edit(
    IN,
    "      this.#ids.delete(packet);\n",
    "",
  ),
  "what a message sets is not in the transaction with its id": edit(
    BRIDGE,
    "        perform(delivery, tx, without, commands);\n",
    "        void server.transaction((own) => perform(delivery, own, without, commands)).catch(() => {});\n",
  ),
  "messages take effect in another order": edit(
    BROKER,
    "for (const task of tasks) await this.#perform(task, tx);",
    "for (const task of [...tasks].reverse()) await this.#perform(task, tx);",
  ),
};

/** A broker that has forgotten the session. */
const FORGETTING: Bugs = {
  "states are not announced again to a broker that has forgotten them": edit(
    BROKER,
    'if (task.does === "resume" && !(task.isPresent && this.#hasAnnounced)) {',
    'if (task.does === "resume" && !this.#hasAnnounced) {',
  ),
  "ids of a session that the broker has forgotten are taken for those of the new one": edit(
    SESSION,
    "      this.#in.clear();\n",
    "",
  ),
  "what a broker had taken is not published again when it has forgotten it": edit(
    OUT,
    "if (!isKnown) Object.assign(out, { isReleased: false, isAgain: false });",
    "if (!isKnown) Object.assign(out, { isAgain: false });",
  ),
  "a broker that forgets is known only if it has greeted a stranger": edit(
    ROWS,
    "      tx.run(`UPDATE mqtt_session SET is_known = 1`);\n      if (task.isPresent) return;\n",
    "      if (task.isPresent) return;\n      tx.run(`UPDATE mqtt_session SET is_known = 1`);\n",
  ),
  "nobody is told that a broker has forgotten the session": edit(
    BROKER,
    "if (!task.isPresent && await isKnown(tx)) tx.afterCommit(() => this.#forgot());",
    "",
  ),
};

/** Bugs of announcements. */
const STATES: Bugs = {
  "what is announced takes the place of what is newer": edit(
    "bridge/mqtt/states.ts",
    "      if (newer.length > 0) this.#again(",
    "      if (newer.length < 0) this.#again(",
  ),
  "a device that comes back is gone all the same": edit(
    "bridge/mqtt/availability.ts",
    '  #comes(id: string, metadata = ""): void {\n    this.#stays(id);\n',
    '  #comes(id: string, metadata = ""): void {\n',
  ),
  "what is confirmed is what is desired by then": edit(
    "server/channels/app.ts",
    "const said = text === undefined ? marked : { ...marked, value: text };",
    "const said = marked;",
  ),
};

export const MQTT_BUGS: Bugs = { ...PUBLISHING, ...DELIVERING, ...FORGETTING, ...STATES };
