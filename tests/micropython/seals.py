"""Sealed links of bridge/micropython, without a network: ciphers, records, and a core whose server is the test. Arguments: the
folder of the package, and tests/vectors/seal/vectors.json. Prints a line with the result of each trial. Under
CPython the code for a machine runs as Python (viper/)."""
import gc
import json
import random
import sys
from binascii import hexlify, unhexlify

sys.path.insert(0, sys.argv[1])
if sys.implementation.name == "cpython":
    sys.path.insert(0, __file__.replace("seals.py", "viper"))
from holdfast import cipher, cipher_native, sealed
from holdfast.errors import NAMES

with open(sys.argv[2]) as file:
    VECTORS = json.load(file)
KEY = bytes(range(32))
LINE = 128


def sealed_by(module, key, nonce, aad, text):
    """The sealed bytes and the tag, in hex."""
    buf = bytearray(aad + text + bytes(16))
    it = module.Cipher(key)
    it.begin(nonce)
    it.crypt(buf, len(aad), len(text))
    tag = it.tag(buf, len(aad), len(text))
    return hexlify(bytes(buf[len(aad) : -16])).decode(), hexlify(bytes(tag)).decode()


def rfc():
    for vector in VECTORS["aead"]:
        args = [unhexlify(vector[name]) for name in ("key", "nonce", "aad", "text")]
        for module in (cipher, cipher_native):
            if sealed_by(module, *args) != (vector["sealed"], vector["tag"]):
                return "%s: %s" % (module.__name__, vector["name"])
    for vector in VECTORS["poly1305"]:
        key, text = unhexlify(vector["key"]), unhexlify(vector["text"])
        key += bytes(32 - len(key))
        it = cipher_native.Cipher(KEY)
        it.begin(bytes(12))
        digits = cipher_native._p
        for i in range(120):
            digits[i] = 0
        cipher_native._add(digits, 0, key[:16] + b"\0")
        it._absorb(text, 0, len(text))
        cipher_native._finish(digits, key[16:], cipher_native._tag)
        if hexlify(bytes(cipher_native._tag)).decode() != vector["tag"]:
            return vector["name"]
    return "ok"


def alike():
    """Both ciphers, on texts of all lengths; some cause long carries."""
    for n in range(140):
        byte = random.choice((0, 255, None))
        text = bytes(n * [byte]) if byte is not None else bytes([random.getrandbits(8) for _ in range(n)])
        nonce = bytes([random.getrandbits(8) for _ in range(12)])
        aad = text[: n % 20]
        if sealed_by(cipher, KEY, nonce, aad, text) != sealed_by(cipher_native, KEY, nonce, aad, text):
            return "not for %r" % text
    return "ok"


def session():
    """Checks the session in the vectors."""
    it = VECTORS["session"]
    made = sealed.keys(unhexlify(it["key"]), (it["hello"] + it["welcome"]).encode())
    if [hexlify(key).decode() for key in made] != [it["toServer"], it["toDevice"]]:
        return "keys"
    ways = {"toServer": 0, "toDevice": 1}
    out = [sealed.Direction(key) for key in made]
    into = [sealed.Direction(key) for key in made]
    for record in it["records"]:
        way = ways[record["to"]]
        text = record["text"].encode()
        n = len(text)
        buf = bytearray(bytes((n >> 8, n & 255)) + text + bytes(16))
        out[way].seal(buf, n)
        if hexlify(bytes(buf)).decode() != record["sealed"]:
            return "sealing " + record["text"]
        if not into[way].open(buf, n) or bytes(buf[2 : n + 2]) != text:
            return "opening " + record["text"]
    return "ok"


class Server:
    """A connected sealed core, and the server's end of its link."""

    def __init__(self):
        core = self.core = sealed.Sealed(b"1", 0, 2000, LINE, 512, 512, 8, KEY, 1, 7, (0, 0))
        core.poll(0, 3)
        core.opened(0, bytes(16))
        core.poll(0, 3)
        hello = core.data
        words = bytearray(unhexlify(b"d000000100000000" + hello[3:11] + b"00000000"))
        nonce = b"d1" * 16
        for i, byte in enumerate(sealed.hmac(KEY, nonce)[:16]):
            words[i] ^= byte
        line = b"\x0203" + hexlify(words) + b"000000400000020c00000080" + nonce
        self.welcome = line + hexlify(sealed.hmac(KEY, hello + line))[:32] + b"\n"
        mine, others = sealed.keys(KEY, hello + self.welcome)
        self.hears = sealed.Direction(mine)
        self.says = sealed.Direction(others)
        self.now = 0

    def record(self, text):
        buf = bytearray(bytes((len(text) >> 8, len(text) & 255)) + text + bytes(16))
        self.says.seal(buf, len(text))
        return bytes(buf)

    def feed(self, data, most=64):
        """Feeds bytes in random pieces. Returns what the core does, in words."""
        came = []
        while True:
            event = self.core.poll(self.now, 3)
            if event == 2:
                came.append(NAMES[self.core.reason])
                return came
            if event == 3:
                came.append(self.opened(self.core.data))
            elif event == 4:
                came.append("got " + bytes(self.core.data).decode())
                self.core.take()
            elif data:
                n = min(len(data), random.randrange(1, most + 1), self.core.space())
                self.core.received(data[:n], n, self.now)
                data = data[n:]
            else:
                return came

    def opened(self, data):
        """Describes what the core sent."""
        if data[0] == 3:
            return "proof"
        n = data[0] << 8 | data[1]
        buf = bytearray(data)
        if len(buf) != n + 18 or not self.hears.open(buf, n):
            return "no record"
        return "said " + repr(bytes(buf[2 : n + 2]).decode())


def linked():
    server = Server()
    server.feed(server.welcome)
    return server


def lines():
    server = Server()
    server.core.write(b"up", True)
    came = server.feed(server.welcome + server.record(b"00down\n01x") + server.record(b"y\n00\n"), 1)
    server.now = 500
    return ", ".join(came + server.feed(b""))


def damaged():
    """Flips any bit of a record: the core uses none of it."""
    ends = set()
    for bit in range(25 * 8):
        server = linked()
        record = bytearray(server.record(b"00down\n"))
        record[bit >> 3] ^= 1 << (bit & 7)
        came = server.feed(bytes(record) + server.record(b"00down\n"))
        if not came:  # it waits for the rest of a longer record
            server.now = 2000
            came = server.feed(b"")
        ends.update(came)
    return ", ".join(sorted(ends))


def strange():
    """Not valid as records: too long, too short, a refusal in the clear, out of order."""
    ends = []
    for data in (b"\0\x84" + bytes(150), b"\0\0" + bytes(16), b"\x0408\n" + bytes(200), None):
        server = Server()
        if data is None:
            server.record(b"\n")
            data = server.record(b"00down\n")
        ends.extend(server.feed(server.welcome + data)[-1:])
    return ", ".join(ends)


def refused():
    """A refusal instead of the welcome is in the clear, a later one in a record."""
    server = Server()
    early = server.feed(b"\x0408\n")
    server = linked()
    return ", ".join(early + server.feed(server.record(b"\x0407\n")))


def silent():
    """Parts of a record do not count as a sign of life."""
    server = linked()
    record = server.record(b"x" * 128 + b"\n")
    for server.now in range(0, 2000, 100):
        server.feed(record[:1])
        record = record[1:]
    server.now = 2000
    return server.feed(b"")[-1]


def free():
    """Bytes that sealed keepalives allocate, each way. Only where there is machine code."""
    if not hasattr(gc, "mem_alloc"):
        return "0"
    server = linked()
    keepalives = [server.record(b"\n") for _ in range(8)]
    core = server.core
    sent = 0
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for record in keepalives:
        server.now += 500
        core.received(record, 19, server.now)
        while True:
            event = core.poll(server.now, 1)
            if event == 0:
                break
            sent += event
    allocated = gc.mem_alloc() - before
    gc.enable()
    return str(allocated) if sent == 24 else "%d keepalives" % (sent // 3)


for what in (rfc, alike, session, lines, damaged, strange, refused, silent, free):
    print("%s: %s" % (what.__name__, what()))
