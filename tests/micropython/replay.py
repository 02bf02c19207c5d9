"""Replays the client's views of tests/vectors on the core of bridge/micropython, as tests/vectors/README.md defines them.

`python3 replay.py FOLDER_OF_PACKAGE FILE...` prints for each file its name and "ok", or what is wrong. Runs under MicroPython, too;
for MicroPython in WASM, the test calls `replay`."""
import json
import sys
from binascii import hexlify, unhexlify

try:
    from holdfast.core import Core
except ImportError:
    sys.path.insert(0, sys.argv[1])
    from holdfast.core import Core
from holdfast.deadlines import expire
from holdfast.dialect1 import Core1
from holdfast.errors import NAMES

# A core's requests.
NONE, CONNECT, CLOSE, SEND, MESSAGE = range(5)

SETTINGS = {
    "dialect": 1,
    "id": "1",
    "metadata": "",
    "key": "",
    "line": 64,
    "outbox": 512,
    "inbox": 512,
    "recent": 64,
    "window": 16,
    "timeout": 2000,
    "seed": 1,
    "epoch": "c0000001",
    "rxEpoch": "00000000",
    "rxNext": 0,
}
# States: from GREETING on, a connection is open.
GREETING = 2
UP = 3


class End:
    """The core, and a host that carries out its requests."""

    def __init__(self, settings):
        self.settings = dict(SETTINGS)
        self.settings.update(settings)
        s = self.settings
        self.now = self.said = 0
        self.nonce = 0xC1
        self.boots = 0
        self.blocked = self.holding = False
        self.boot((int(s["rxEpoch"], 16), s["rxNext"]))
        self.take()

    def boot(self, position):
        s = self.settings
        name = s["id"] + ("\t" + s["metadata"] if s["metadata"] else "")
        key = unhexlify(s["key"]) if s["key"] else None
        args = [name.encode(), self.now]
        args += [s[name] for name in ("timeout", "line", "inbox", "outbox", "window")]
        args += [key, s["seed"], int(s["epoch"], 16) + self.boots, position]
        self.core = Core(*args) if s["dialect"] == 2 else Core1(*args, recent=s["recent"])
        self.boots += 1
        self.unread = b""

    def take(self):
        """The output since the last call."""
        came = getattr(self, "came", None)
        self.came = {"out": b"", "messages": [], "events": []}
        return came

    def longest_pause(self):
        state = self.core.state
        timeout = self.settings["timeout"]
        if self.blocked or state < GREETING:
            return None
        if state == UP:
            return timeout // 4
        return timeout // 2 if self.settings["dialect"] == 1 else None

    def input(self, name, value):
        core = self.core
        if name in ("in", "inHex"):
            self.unread += unhexlify(value) if name == "inHex" else value.encode()
        elif name in ("write", "writeOff", "refused", "refusedOff"):
            accepted = core.write(value.encode(), not name.endswith("Off"))
            if accepted == name.startswith("refused"):
                raise ValueError("%r was %s" % (value, "accepted" if accepted else "refused"))
        elif name in ("hold", "take"):
            self.holding = name == "hold"
        elif name in ("block", "unblock"):
            self.blocked = name == "block"
        elif name == "opened":
            core.opened(self.now, bytes([self.nonce]) * 16)
            self.nonce += 1
            self.said = self.now
        elif name == "lost":
            core.closed(self.now)
            self.unread = b""
        elif name in ("restart", "reset"):
            self.boot((core.rx_epoch, core.rx_next) if name == "reset" else (0, 0))
        elif name == "skip":
            for _ in range(value):
                core.write(b"-", True)
                self.settle()
                ack = self.came["out"][-4:-2]
                self.came["out"] = self.came["out"][:-4]
                self.input("in", ack.decode() + "\n")
        else:
            raise ValueError("there is no step %r here" % name)
        self.settle()

    def settle(self):
        can = (0 if self.blocked else 1) | (0 if self.holding else 2)
        for _ in range(10000):
            if not self.step(can) and not self.read():
                return
        raise ValueError("the core asks for something again and again")

    def step(self, can):
        core = self.core
        event = core.poll(self.now, can)
        if event == CONNECT:
            self.came["events"].append("connect")
        elif event == CLOSE:
            reason = NAMES[core.reason]
            refusal = " %d" % core.refusal if reason == "REFUSED" else ""
            self.came["events"].append("close " + reason + refusal)
            self.unread = b""
        elif event == SEND:
            self.came["out"] += core.data
            self.said = self.now
        elif event == MESSAGE:
            self.came["messages"].append(hexlify(core.data).decode())
            core.take()
        return event != NONE

    def read(self):
        n = min(len(self.unread), self.core.space())
        if n <= 0 or self.core.state < GREETING:
            return False
        self.core.received(self.unread, n, self.now)
        self.unread = self.unread[n:]
        return True

    def until(self, at, keepalives):
        self.settle()
        while self.now + self.core.wait <= at:
            said, longest = self.said, self.longest_pause()
            self.now += max(0, self.core.wait)
            self.settle()
            pause = self.now - said
            now_longest = self.longest_pause()
            if not keepalives and longest is not None and now_longest is not None:
                if pause > longest and pause > now_longest:
                    raise ValueError("nothing was sent for %d ms: where is the keepalive?" % pause)
        self.now = at
        self.settle()


def without_keepalives(out):
    return b"".join([line + b"\n" for line in out.split(b"\n") if line])


def check(what, actual, expected):
    if actual != expected:
        raise ValueError("%s: %r, expected %r" % (what, actual, expected))


def replay(view):
    """Raises ValueError if the core deviates."""
    settings = dict(view.get("settings", {}))
    keepalives = settings.pop("keepalives", 0)
    end = End(settings)
    steps = view["steps"]
    at = 0
    while at < len(steps):
        time = steps[at][0]
        moment = []
        while at < len(steps) and steps[at][0] == time:
            moment.append(steps[at])
            at += 1
        end.until(time, keepalives)
        live(end, moment, keepalives)


def live(end, moment, keepalives):
    out, messages, events, uncompared = b"", [], [], 0
    for step in moment:
        name = step[1]
        value = step[2] if len(step) > 2 else None
        if name == "out":
            out += value.encode()
        elif name == "outHex":
            out += unhexlify(value)
        elif name == "message":
            messages.append(hexlify(value.encode()).decode())
        elif name == "messages":
            uncompared += value
        elif name == "connect":
            events.append(name)
        elif name == "close":
            events.append("close " + str(value))
        elif name == "done":
            check("messages done", end.core.tx_first, value)
        elif name != "quiet":
            end.input(name, value)
    came = end.take()
    check("bytes sent", came["out"] if keepalives else without_keepalives(came["out"]), out)
    if uncompared:
        check("number of messages", len(came["messages"]), uncompared)
    else:
        check("messages", came["messages"], messages)
    check("events", came["events"], events)


def verdict(text):
    """Replays a vector's JSON: "" if its client's view holds, or what is wrong."""
    try:
        replay(json.loads(text)["client"])
        return ""
    except ValueError as error:
        return str(error) or "ValueError"


FATES = ("open", "EXPIRED", "UNDECIDED")


def trace(text):
    """Runs a core through steps without expectations, and returns the result of each, as JSON: tests/fuzz compares it
    with the results of the core for the firmware."""
    view = json.loads(text)
    end = End(view["settings"])
    moments = []
    for time, name, value in view["steps"]:
        end.until(time, True)
        if name in ("try", "tryOff"):
            accepted = end.core.write(value.encode(), name == "try")
            end.settle()
            end.came["events"].append("accepted" if accepted else "refused")
        elif name == "expire":
            fate = FATES[expire(end.core, value)]
            end.settle()
            end.came["events"].append(fate)
        else:
            end.input(name, value)
        came = end.take()
        moments.append([hexlify(came["out"]).decode(), came["messages"], came["events"], end.core.tx_first])
    return json.dumps(moments)


if __name__ == "__main__":
    for path in sys.argv[2:]:
        with open(path) as file:
            print(path.split("/")[-1], verdict(file.read()) or "ok")
