"""A server's last words count even if the client cannot write any more. In MicroPython's WASM, on the network that shims/
simulates."""
import socket

import sizes
from holdfast.deadlines import Deadlines
from holdfast.errors import NAMES


def connect(server="10.0.0.2"):
    peer = socket.peer
    peer.reset()
    sizes.connect(server)
    return sizes.device, peer


def outcome(device):
    """Why the last connection ended, with the refusal's code, and whether the next attempt waits as it should."""
    core = device._core
    wait = core.wait
    device.close()
    return "%s %d, %s" % (NAMES[core.reason], core.refusal, "waits" if wait > core.timeout else "at once")


def refused(code, words=b""):
    """A refusal arrives behind other lines, while the client has output that it can no longer send."""
    device, peer = connect()
    peer.fault = "block"
    device.put("half sent")
    peer.pieces.append(words + b"\4" + code + b"\n")
    peer.fault = "deaf"
    device._pump()
    return outcome(device)


def refused_late():
    """A refusal arrives when a message with a deadline has long expired."""
    device, peer = connect()
    deadlines = device._timed = Deadlines(device, None)
    device.put("in time")
    deadlines._timed.append([0, sizes.clock + 10, 0])
    sizes.clock += 1999
    device._pump()
    sizes.clock += 1999
    peer.pieces.append(b"\4" + b"08\n")
    device._pump()
    return outcome(device)


def sent_away():
    """Both addresses say that the server is stopping: where the device is, and what it does after the second."""
    device, peer = connect(["10.0.0.2", "10.0.0.3"])
    for _ in range(2):
        peer.pieces.append(b"\4" + b"07\n")
        device._pump()
        if device._core.state:
            there = device._host[0]
    return "%s: %s" % (there, outcome(device))


def gone(words=b""):
    """The server closes without a reason, and the client cannot send."""
    device, peer = connect()
    peer.pieces.append(words)
    device._pump()
    device.put("a")
    peer.fault = "reset"
    device._pump()
    return outcome(device)


def scenes():
    many = b"".join(b"%02x%s\n" % (n, b"x" * 60) for n in range(8))
    return "; ".join((refused(b"08"), refused(b"08", many), refused_late(), sent_away(), gone()))
