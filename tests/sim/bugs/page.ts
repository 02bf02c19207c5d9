/** Bugs of the page: the timeline, and the list of messages. */
import { type Bugs, edit } from "./bug.ts";

const DEVICE = "server/runtime/device_driver.ts";
const HISTORY = "server/web/history.ts";
const ROUTES = "server/web/log_routes.ts";
const WATCH = "server/runtime/message_watch.ts";

const TIMELINE_BUGS: Bugs = {
  "the links of a server that was killed last until the next one": edit(
    HISTORY,
    "const killed = kept.get(SERVER)?.at(-1)?.to ?? 0;",
    "const killed = this.#clock.date();",
  ),
  "the end of a link is not written": edit(
    HISTORY,
    "    links![links!.length - 1] = ended;\n    this.#note(id, ended);\n",
    "    links![links!.length - 1] = ended;\n",
  ),
  "it is not noted that the server runs": edit(
    HISTORY,
    "      this.#note(SERVER, { ...this.served.at(-1)!, to: this.#clock.date() });\n",
    "",
  ),
  "what is noted while the past is read is not written": edit(
    HISTORY,
    "        for (const link of links) this.#note(id, link);\n",
    "",
  ),
  "the past hides what came while it was read": edit(
    HISTORY,
    "        this.#begin(id, from, boot);\n        if (to",
    "        if (to",
  ),
  "the past of a device that was forgotten is shown": edit(
    HISTORY,
    "    this.#links.delete(id);\n    this.#changed.set(id, new Map());\n",
    "    this.#changed.set(id, new Map());\n",
  ),
  "whether a device sleeps since, the store is not asked": edit(
    HISTORY,
    "      if (id !== SERVER) this.#addUnseen(id, killed);\n",
    "",
  ),
  "a device that another server has taken keeps its link": edit(
    DEVICE,
    "    if (serving) this.#host.disconnected(this, serving.address, reason);\n",
    "",
  ),
};

const WATCH_BUGS: Bugs = {
  "messages from a device are told before they are safe": edit(
    WATCH,
    "at < safe; at++",
    "at < inbox.length; at++",
  ),
  "messages are told again": edit(
    WATCH,
    "    this.#in = Math.max(this.#in, processed + safe);\n",
    "",
  ),
  "what another server made unsafe is told": edit(
    DEVICE,
    "if (this.isForgotten || this.#isLost) return;",
    "if (this.isForgotten) return;",
  ),
  "a device that is new is not watched": edit(
    ROUTES,
    "    else watch(server.known(event.device));\n",
    "",
  ),
};

export const PAGE_BUGS: Bugs = { ...TIMELINE_BUGS, ...WATCH_BUGS };
