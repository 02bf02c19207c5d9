/** Bugs of deploys: messages between server and firmware. */
import { type Bugs, edit } from "./bug.ts";

const DEPLOYMENT = "server/firmware/deployment.ts";
const ROLLOUTS = "server/firmware/rollouts.ts";
const DEVICE_DEPLOY = "server/firmware/device_deploy.ts";

export const DEPLOY_BUGS: Bugs = {
  "what a firmware says is given to the application": edit(
    "server/link/dialect2.ts",
    "else if (text.startsWith(FIRMWARE)) this.#owner.told(text);\n    else if",
    "else if",
  ),
  "what waits for a firmware is sent when the device has greeted again": edit(
    "server/link/outbox.ts",
    `if (message.text.startsWith(FIRMWARE)) {
        if (!isForFirmware(message.text)) reports.notWritten(record.id, message.text);
        this.withdraw(message);
      } else if`,
    "void [FIRMWARE, isForFirmware, reports, record];\n      if",
  ),
  "what somebody has told to try again is tried again and again": edit(
    DEPLOYMENT,
    "const again = state.again && starts === 0;",
    "const again = state.again;",
  ),
  "a deploy does not outlive the server": edit(
    DEPLOYMENT,
    "this.#state = deployOf(line.record);",
    "void deployOf;",
  ),
  "a deploy does not go on when the device comes back": edit(
    DEPLOYMENT,
    "this.#offer(); // even after a trial: it may have been kept by now",
    "if (this.#state.starts === 0) return false;\n      this.#offer();",
  ),
  "pieces go on where the server was, and not where the device is": edit(
    DEPLOYMENT,
    "this.#next = this.#arrived = offset;",
    "this.#next = this.#arrived = Math.max(this.#next, offset);",
  ),
  "a device is to start what is still on its way": edit(
    DEPLOYMENT,
    "if (this.#next < state.size) return;",
    "if (this.#next === 0) return;",
  ),
  "the server does not remember what fell back": edit(
    DEVICE_DEPLOY,
    "if (state && hasFallen(state, offer.hash) && !offer.again) {",
    "if (state && hasFallen(state, offer.hash) && !offer.again && state.size < 0) {",
  ),
  "an offer is not signed": edit(
    DEPLOYMENT,
    "this.#line.tell(formatOffer({ ...state, again }, key), () => {});",
    "void key;\n    this.#line.tell(formatOffer({ ...state, again }), () => {});",
  ),
  "a group is given more of what one has not taken": edit(
    ROLLOUTS,
    "    if (why !== undefined) {\n",
    "    if (why !== undefined && members.length === 0) {\n",
  ),
  "more of a group at once than was said": edit(
    ROLLOUTS,
    "rollout!.step - busy.size;",
    "rollout!.step - busy.size + 1;",
  ),
  "what is kept is taken for what was deployed": edit(
    DEPLOYMENT,
    "if (!lostPlace && !this.#is(word.hash)) {",
    'if (!lostPlace && word.is !== "kept" && !this.#is(word.hash)) {',
  ),
};
