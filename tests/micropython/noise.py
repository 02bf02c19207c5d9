"""A client and a server that sends anything, and closes, resets or blocks at any time: the client must not throw, nor hold more than
its sizes allow. In MicroPython's WASM, on the network that shims/ simulates."""
import random
import socket
from binascii import hexlify, unhexlify

from holdfast import client
from holdfast.sealed import Direction, hmac, keys

KEY = bytes(32)
clock = 1000
says = None  # the server's sealing state, once it has answered a hello of suite 03


def ticks_ms():
    return clock


def piece(out, expected):
    """What a server might send in response to what it got."""
    kind = random.randrange(8)
    number = b"%02x" % random.choice((0, 1, random.randrange(256), expected & 255, expected & 255))
    if kind == 0:
        return bytes([random.getrandbits(8) for _ in range(random.randrange(1, 60))])
    if kind == 1:
        return number + b"\n"
    if kind == 2:
        return b"\4" + number + b"\n"
    if kind == 3:
        return number + b"x" * random.randrange(1, 300) + b"\n"
    if kind == 4:
        return number + b"\xff\n"
    hello = out[out.rfind(b"\1") :].split(b"\n")[0]
    if kind < 7 and len(hello) > 91:
        words = b"d0000001" + random.choice((b"00000000", b"00000001")) + hello[3:11] + hello[11:19]
        return welcome(hello, words)
    return b"\n"


def welcome(hello, words):
    global says
    nonce = b"d1" * 16
    is_sealed = hello[1:3] == b"03"
    if is_sealed:
        words = hexlify(bytes([a ^ b for a, b in zip(unhexlify(words), hmac(KEY, nonce))]))
    line = b"\2" + hello[1:3] + words + b"000000400000020c00000080" + nonce
    if is_sealed:
        line += hexlify(hmac(KEY, hello + b"\n" + line))[:32]
        says = Direction(keys(KEY, hello + b"\n" + line + b"\n")[1])
    return line + b"\n"


def record(text):
    """Seals with the key of the last welcome, which may belong to another connection."""
    text = text[:259]
    buf = bytearray(bytes((len(text) >> 8, len(text) & 255)) + text + bytes(16))
    says.seal(buf, len(text))
    if not random.randrange(9):
        buf[random.randrange(len(buf))] ^= 1
    return bytes(buf)


def live(seed):
    """Runs one client with such a server. Returns how often it was connected."""
    global clock, says
    says = None
    random.seed(seed)
    client.ticks_ms = ticks_ms
    peer = socket.peer
    peer.reset()
    clock = random.choice((1000, 0x3FFFFFFF - 9000))  # wraps soon
    options = random.choice(({"dialect": 1}, {}, {}, {"suite": 3, "key": KEY}))
    device = client.Client("1", ["10.0.0.2", "10.0.0.3"], **options)
    for _ in range(300):
        act = random.randrange(9)
        if act < 4:
            said = piece(peer.sent, device._core.rx_next + len(device._core._in))
            peer.pieces.append(record(said) if says and device.status() else said)
        elif act == 4:
            peer.fault = random.choice((None, None, "end", "reset", "block"))
        elif act == 5:
            device.put("text %d" % random.randrange(100))
        elif act == 6:
            device._wants = device._got is None
            if device._got is None and device._held is not None:
                device._done()
            device._got = None
        else:
            clock = clock + random.choice((1, 50, 400, 500, 2000)) & 0x3FFFFFFF
        device._pump()
        core = device._core
        if not 0 < core.wait <= 8000:
            raise ValueError("it would wait for %d ms" % core.wait)
        if core._size(99) > 1024 or core._got > 1024 or len(core._part) > 256 + 3 + 256 or len(core._control) > 200:
            raise ValueError("it holds too much")
        peer.sent = peer.sent[-400:]
    connects = device.connects
    device.close()
    return connects
