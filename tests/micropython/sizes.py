"""What the client needs on a 32-bit MicroPython without a network: shims/ plays that, in MicroPython's WASM. There garbage is
collected between two calls from outside only."""
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
    """What an application has anyway."""
    import asyncio
    import select
    import socket

    asyncio.Event, asyncio.Lock


def welcome(hello, hmac):
    """As a server answers that has nothing and knows nothing."""
    nonce = b"d1" * 16
    words = unhexlify(b"d000000100000000" + hello[3:11] + b"00000000")
    words = bytes(a ^ b for a, b in zip(words, hmac(KEY, nonce)))
    line = b"\x0202" + hexlify(words) + b"000000400000020c00000080" + nonce
    return line + hexlify(hmac(KEY, hello + b"\n" + line))[:32] + b"\n"


def connect(server="10.0.0.2"):
    """A device that is connected, with proof."""
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
    """Bytes that a hundred keepalives each way allocate."""
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
    """Those of the package that are imported now."""
    from sys import modules

    names = [name.split(".")[1] for name in modules if name.startswith("holdfast.")]
    return " ".join(sorted(["__init__"] + names))


def close():
    """Ends the client, and with it what it has asked the loop to do."""
    device.close()


def measure():
    """[bytes in use for a client that is connected, its code among them; bytes that its keepalives allocate]"""
    load()
    gc.collect()
    before = used()
    connect()
    gc.collect()
    connected = used()
    gc.disable()
    return connected - before, keepalives()
