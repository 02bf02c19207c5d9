/** Bugs of the MQTT bridge's services for devices: requests, topics of their own, wills, retained values to remove. */
import { type Bugs, edit } from "./bug.ts";

const ANNOUNCER = "bridge/mqtt/announcer.ts";
const OWN = "bridge/mqtt/own_topics.ts";
const REQUESTS = "bridge/mqtt/requests.ts";
const SUBSCRIPTIONS = "bridge/mqtt/subscriptions.ts";
const SCHEMA = "bridge/mqtt/schema.ts";
const WILLS = "bridge/mqtt/wills.ts";

const ASKING: Bugs = {
  "a request that a restart has cut short is never answered": edit(
    REQUESTS,
    "      this.#host.put(tx, faultFor(asker, why));\n",
    "      void [asker, why];\n",
  ),
  "a request that was answered is answered again by the next process": edit(
    REQUESTS,
    "        tx.run(`DELETE FROM mqtt_requests WHERE id = ?`, id);\n",
    "",
  ),
  "a device is asked before the request is safe": edit(
    REQUESTS,
    "    tx.afterCommit(() =>\n      void this.#ask(",
    "    queueMicrotask(() =>\n      void this.#ask(",
  ),
  "an answer is not in the transaction in which it is owed no more": edit(
    REQUESTS,
    "        this.#host.put(tx, answer);\n      });\n",
    "      });\n      await this.#host.transaction((tx) => this.#host.put(tx, answer));\n",
  ),
  "an answer does not say what it answers": edit(
    REQUESTS,
    "    ...(correlation !== undefined && { correlation }),\n",
    "",
  ),
};

const HEARING: Bugs = {
  "topics of devices are not subscribed again at a broker that has forgotten them": edit(
    SUBSCRIPTIONS,
    "    if (!isKnown) { for (const filter of this.#known.keys()) this.#known.set(filter, false); }\n",
    "    void isKnown;\n",
  ),
  "what a device wants to hear does not outlive the server": edit(
    OWN,
    "      for (const filter of filters) all.push([thing.id, filter]);\n",
    "      void filters;\n",
  ),
  "what no device wants any more is heard for ever": edit(
    SUBSCRIPTIONS,
    "    return !this.#wanted.has(filter) || this.#refused.has(filter);\n",
    "    return this.#refused.has(filter);\n",
  ),
};

const LIVES: Bugs = {
  "a device that has stayed is welcomed by each process": edit(
    SCHEMA,
    "is_welcomed = CASE WHEN excluded.state = 'offline' THEN 0",
    "is_welcomed = CASE WHEN excluded.state <> 'sleeping' THEN 0",
  ),
  "a device that was gone is told to have gone by each process": edit(
    WILLS,
    "`state <> 'offline'`",
    "`state <> ''`",
  ),
  "a device that says that it wants to be welcomed is not, as it is there already": edit(
    WILLS,
    '    if (occasion === "welcome") this.#welcome(tx, id); // it may already be connected\n',
    "",
  ),
};

const TAKING_BACK: Bugs = {
  "topics of a device that was forgotten stay": edit(
    ANNOUNCER,
    "      this.#gone.set(event.device, { isSecond: false });\n",
    "",
  ),
};

const SHOWING: Bugs = {
  "Home Assistant is not told again of devices when it starts": edit(
    ANNOUNCER,
    "    if (isOnline) tx.afterCommit(() => this.all(true));\n",
    "    void isOnline;\n",
  ),
  "a broker that has forgotten all is not told again what Home Assistant is to know": edit(
    "bridge/mqtt/bridge.ts",
    "        tx.afterCommit(() => this.#announcer!.all(true));\n",
    "        tx.afterCommit(() => this.#announcer!.all(false));\n",
  ),
  "another version of an application is not told to Home Assistant": edit(
    ANNOUNCER,
    '      this.#mark(event.device, false);\n    } else if (event.event === "connected") {',
    '      return;\n    } else if (event.event === "connected") {',
  ),
  "what a version does not have any more stays in Home Assistant": edit(
    ANNOUNCER,
    "const whole = isRemoved ? payload : withRemoved(payload, told);",
    "const whole = payload;",
  ),
  "what is gone from Home Assistant is said to be gone for ever": edit(
    ANNOUNCER,
    "    this.#removed.set(device.id, payload);\n",
    "",
  ),
};

export const MQTT_DEVICE_BUGS: Bugs = {
  ...ASKING,
  ...HEARING,
  ...LIVES,
  ...TAKING_BACK,
  ...SHOWING,
};
