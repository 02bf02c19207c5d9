/** Bugs of bridges to one MQTT broker at several servers. */
import { type Bugs, edit } from "./bug.ts";

const BRIDGE = "bridge/mqtt/bridge.ts";
const ABSENT = "bridge/mqtt/absent.ts";
const LEASE = "bridge/mqtt/lease.ts";
const ROWS = "bridge/mqtt/rows.ts";
const STATES = "bridge/mqtt/states.ts";

export const FLEET_MQTT_BUGS: Bugs = {
  "fleet: the lease for the broker is not checked in a commit": edit(
    LEASE,
    "        this.#guard(tx, token);\n",
    "",
  ),
  "fleet: what other servers add waits until the one with the connection has something": edit(
    BRIDGE,
    "    if (waits) this.#broker?.added(0);\n",
    "    void waits;\n",
  ),
  "fleet: who gets the lease for the broker again gets it with the same token": edit(
    LEASE,
    "    if (before !== this.#token) return;\n",
    "",
  ),
  "fleet: what a server announces that has lost a device counts": edit(
    STATES,
    "    if (this.#host.own !== undefined) tx.fence(device);\n",
    "",
  ),
  "fleet: that a device is there says a server that has lost it": edit(
    STATES,
    "        if (own !== undefined) tx.fence(id);\n",
    "",
  ),
  "fleet: a paused server's devices stay offline when it goes on": edit(
    ABSENT,
    "AND round = (SELECT round FROM mqtt_session)",
    "AND round = -1000",
  ),
  "fleet: that a device is gone says a server that has lost it": edit(
    ROWS,
    "WITH own AS (SELECT state FROM mqtt_devices WHERE device = ? AND server = ? FOR UPDATE)",
    "WITH own AS (SELECT state FROM mqtt_devices WHERE device = ? AND ? <> '' FOR UPDATE)",
  ),
  "fleet: a device that is on its way in a round is announced by nobody": edit(
    STATES,
    "      again(device);\n",
    "",
  ),
  "fleet: a broker that has forgotten is told of the devices of one server": edit(
    BRIDGE,
    "    if (this.#lease) beginRound(tx);\n",
    "    if (!this.#lease) beginRound(tx);\n",
  ),
};
