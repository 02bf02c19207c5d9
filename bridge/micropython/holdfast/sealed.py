"""The device's end of a sealed link (SEALING.md): core.py, with everything after the greeting in records of suite 03. Imported
with `suite=3`."""
from hashlib import sha256

from .core import Core, const, hmac

try:
    from .cipher_native import Cipher
except (ImportError, SyntaxError, ValueError):  # no native emitter, or a file for another machine
    from .cipher import Cipher

_SEND = const(3)
_CLOSING = const(-1)
_UP = const(3)
_BAD_SEAL = const(12)
_FRAME = const(3)
_LENGTH = const(2)
_TAG = const(16)
# Most bytes in a record.
_MOST = const(1024)


def keys(key, greeting):
    """HKDF-SHA256: the keys for sending and for receiving. `greeting` is all that the device's proof covers."""
    key = hmac(bytes(32), key)
    info = b"holdfast 03" + sha256(greeting).digest()
    first = hmac(key, info + b"\1")
    return first, hmac(key, first + info + b"\2")


class Direction:
    """Seals or opens records of one direction, in place: two bytes with the length of the text, the text, room for a tag. The
    caller fills in the length."""

    def __init__(self, key):
        self._cipher = Cipher(key)
        self._count = 0
        self._nonce = bytearray(12)

    def _begin(self):
        count = self._count
        for i in range(4, 12):
            self._nonce[i] = count & 255
            count >>= 8
        self._count += 1
        self._cipher.begin(self._nonce)

    def seal(self, record, n):
        self._begin()
        self._cipher.crypt(record, _LENGTH, n)
        tag = self._cipher.tag(record, _LENGTH, n)
        for i in range(_TAG):
            record[_LENGTH + n + i] = tag[i]

    def open(self, record, n):
        """Decrypts a record. Returns False if the other end has not sealed it."""
        self._begin()
        tag = self._cipher.tag(record, _LENGTH, n)
        wrong = 0
        for i in range(_TAG):
            wrong |= tag[i] ^ record[_LENGTH + n + i]
        if wrong:
            return False
        self._cipher.crypt(record, _LENGTH, n)
        return True


class Sealed(Core):
    """`key` must be given. `inbox` must hold at least two records of the longest text."""

    def __init__(self, *args):
        super().__init__(*args)
        self._suite = 3
        self._most = min(self.line + _FRAME, _MOST)
        self._record = bytearray(_LENGTH + self._most + _TAG)  # the one that is arriving
        self._text = memoryview(self._record)[_LENGTH:]
        self._n = 0  # bytes of it that have arrived
        self._beat = bytearray(_LENGTH + 1 + _TAG)  # a keepalive
        self._out_seal = self._in_seal = None

    def opened(self, now, nonce):
        super().opened(now, nonce)
        self._n = 0
        self._out_seal = self._in_seal = None

    def space(self):
        return super().space() - self._n

    def received(self, buf, n, now):
        at = 0
        if not self._in_seal:
            # The welcome, or a refusal in its place, is in the clear.
            while at < n and buf[at] != 10:
                at += 1
            at = min(at + 1, n)
            super().received(buf, at, now)
        record = self._record
        while at < n and self.state == _UP:
            record[self._n] = buf[at]
            at += 1
            self._n += 1
            if self._n < _LENGTH:
                continue
            length = record[0] << 8 | record[1]
            if not 0 < length <= self._most or self._n == _LENGTH + length + _TAG and not self._opens(length, now):
                self._down(now, _BAD_SEAL)
                self.state = _CLOSING

    def _opens(self, length, now):
        """A record is complete."""
        self._n = 0
        if not self._in_seal.open(self._record, length):
            return False
        super().received(self._text, length, now)
        return True

    def poll(self, now, can):
        event = super().poll(now, can)
        data = self.data if event == _SEND else b""
        # The hello is in the clear, and so is the proof.
        if data and self._out_seal and data[0] != 3:
            n = len(data)
            record = self._beat if n == 1 else bytearray(_LENGTH + n + _TAG)
            record[0] = n >> 8
            record[1] = n & 255
            for i in range(n):
                record[_LENGTH + i] = data[i]
            self._out_seal.seal(record, n)
            self.data = record
        return event

    def _greeted(self, line, now):
        said = self._greeting
        reason = super()._greeted(line, now)
        if not reason:
            mine, others = keys(self._key, said + line + b"\n")
            self._out_seal = Direction(mine)
            self._in_seal = Direction(others)
        return reason
