"""What the client needs on a 32-bit MicroPython: in MicroPython's WASM, on the network that shims/ simulates. It collects garbage
only between two calls from outside."""
import gc
from binascii import hexlify, unhexlify

KEY = bytes(32)
clock = 1000
device = None


def ticks_ms():
    return clock


def used():
    return gc.mem_alloc()


def collect():
    gc.collect()


def load():
    """Imports what any application has imported."""
    import asyncio
    import select
    import socket

    asyncio.Event, asyncio.Lock


def welcome(hello, hmac):
    """The answer of a server that has no messages and does not know the device."""
    nonce = b"d1" * 16
    words = unhexlify(b"d000000100000000" + hello[3:11] + b"00000000")
    words = bytes(a ^ b for a, b in zip(words, hmac(KEY, nonce)))
    line = b"\x0202" + hexlify(words) + b"000000400000020c00000080" + nonce
    return line + hexlify(hmac(KEY, hello + b"\n" + line))[:32] + b"\n"


def connect(server="10.0.0.2"):
    """Connects a device, with proof."""
    global device
    import socket

    from holdfast import client
    from holdfast.core import hmac

    client.ticks_ms = ticks_ms
    device = client.Client("1", server, key=KEY)
    for _ in range(3):
        device._pump()
    peer = socket.peer
    peer.pieces.append(welcome(peer.sent[:-1], hmac))
    device._pump()
    if not device.status():
        raise ValueError("the link is not up")
    peer.sent = b""


def keepalives():
    """Bytes allocated by a hundred keepalives each way."""
    global clock
    import socket

    peer = socket.peer
    device._pump()
    said = peer.keepalives
    start = gc.mem_alloc()
    for _ in range(200):
        clock += 250
        peer.line = True
        device._pump()
    allocated = gc.mem_alloc() - start
    if peer.keepalives - said < 100:
        raise ValueError("there were no keepalives")
    return allocated


def modules():
    """Modules of the package that are imported now."""
    from sys import modules

    names = [name.split(".")[1] for name in modules if name.startswith("holdfast.")]
    return " ".join(sorted(["__init__"] + names))


def close():
    """Ends the client and its tasks."""
    device.close()


def measure():
    """[bytes in use by a connected client, with its code; bytes that its keepalives allocate]"""
    load()
    gc.collect()
    before = used()
    connect()
    gc.collect()
    connected = used()
    gc.disable()
    return connected - before, keepalives()
