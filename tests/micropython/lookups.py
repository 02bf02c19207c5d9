"""A client whose servers do not answer looks up their names again, each of them. In MicroPython's WASM, on the network that shims/
simulates."""
import socket

from holdfast import client

clock = 1000


def ticks_ms():
    return clock


def scene(count):
    """How often the least looked-up of so many names is looked up in 40 attempts."""
    global clock
    client.ticks_ms = ticks_ms
    lookups = {}
    tried = []

    def getaddrinfo(host, port, *args):
        lookups[host] = lookups.get(host, 0) + 1
        return [(2, 1, 0, "", (host, port))]

    def refuse(address):
        tried.append(address)
        raise OSError(111)

    before = socket.getaddrinfo
    socket.getaddrinfo = getaddrinfo
    socket.peer.connect = refuse
    device = client.Client("1", ["server%d" % n for n in range(count)])
    while len(tried) < 40:
        clock += 2000
        device._pump()
    device.close()
    socket.getaddrinfo = before
    del socket.peer.connect
    return min([lookups.get("server%d" % n, 0) for n in range(count)])
