"""The device's end of a link in dialect 1 (DIALECT1.md), which micropython-iot and its servers speak. The contract is core.py's.
The position is not used."""
from hashlib import sha256

from .core import Core, const, unhex

_CONNECTING = const(1)
_GREETING = const(2)
_UP = const(3)
_BAD_LINE = const(7)
_QOS_OFF = const(1)
_DONE = const(2)
_FRAME = const(3)
_M32 = const(0xFFFFFFFF)


class Core1(Core):
    """`recent` is the number of taken messages that are remembered to recognise repeats, 1 to 223."""

    def __init__(self, name, now, timeout, *args, recent=64):
        self._recent = bytearray(recent * 4)  # for each its id, and three bytes of a digest
        self._count = 0  # messages taken
        self._count_up = 0  # their count when the link came up
        self._count_boot = 0  # their count when the server booted: those before are forgotten
        self._boot = 0  # the connection on which that boot was seen
        self._newest = 0
        self._progress = 0  # time of the last ack, or when the first message without one was sent
        super().__init__(name, now, timeout, *args)
        self._peer_window = 64
        self._peer_bytes = 1400  # about a segment

    def _hello(self, _nonce):
        return self.name + b"\n"

    def opened(self, now, nonce):
        if self.state == _CONNECTING:
            super().opened(now, nonce)
            self._hear(now)

    def _id(self, i):
        n = self.tx_first + i & _M32
        return (n - 1) % 255 + 1 if n else 0

    def space(self):
        # While messages wait for an ack, read on beyond the limit: their acks may be next.
        return super().space() - (0 if self._next else self.line + _FRAME)

    def received(self, buf, n, now):
        self._hear(now)  # in the greeting, too: any first line counts as the welcome
        super().received(buf, n, now)

    def _hear(self, now):
        self._heard = now
        if self.state == _GREETING:
            # The greeting may take two timeouts, not 3/8 of one: micropython-iot's server accepts five connections a second.
            self._heard += (self.timeout << 1) - (self.timeout * 3 >> 3)

    def _read(self, line, now):
        if line:
            n = unhex(line[:2])
            if not n:
                return _BAD_LINE
            if len(line) == 2:
                self._known = self.tx_next
                self._acked(n[0], now)
            elif self._got + len(line) < self._inbox - self.line - _FRAME:
                self._keep(line)
            # Otherwise it was read only to reach the acks behind it: it is not acknowledged, and will come again.
        if self.state != _UP:
            self._count_up = self._count
            self._linked(now)

    def _acked(self, n, now):
        for i in range(self._next):
            if not self._how[i] and self._id(i) == n:
                self._progress = now
                self._how[i] = _DONE
                self._leave()
                return

    def _leave(self):
        """Removes messages that are done from the outbox, in order."""
        n = 0
        while n < len(self._how) and self._how[n] == _DONE:
            n += 1
        self._trim(n)

    def _withdraw(self, longest):
        for i in range(len(self._how)):
            if self._how[i] & 3 or len(self._out[i]) > longest:
                self._how[i] = _DONE
        self._leave()

    def _message(self, now):
        if not self._next:
            self._progress = now
        if (now - self._progress & 0x3FFFFFFF) >= self.timeout:  # no ack for too long
            self._next = 0
            self._progress = now
        # Sends nothing after id 00 before its ack: once newer messages were taken, its repeat would look like a boot.
        if self._next and not self.tx_first:
            return
        line = super()._message(now)
        if line and self._how[self._next - 1] == _QOS_OFF:  # sent only once
            self._how[self._next - 1] = _DONE
            self._leave()
        return line

    def expire(self, n):
        """The time of a message is up. 2: it is withdrawn, and nobody knows whether the server has it. 1: it does not. 0: as
        in deadlines.py."""
        i = n - self.tx_first & _M32
        # Id 00, and many ids in a row, must not be left out: the server needs them to tell a message from a repeat.
        if i >= len(self._how) or self._how[i] & 3 or (n - 1 & _M32) >= self._known + 63:
            return 0
        there = i < self._sent
        self._how[i] = _DONE
        self._leave()
        return 1 + there

    def _offer(self):
        while self._in and len(self._control) < 62:
            line = self._in[0]
            key = bytearray(sha256(line[2:]).digest()[:4])
            key[0] = int(line[:2], 16)
            key[1] |= 1
            if not self._is_repeat(key):
                self._key_offered = key
                self.data = line[2:]
                return True
            self._ack()

    def _is_repeat(self, key):
        """A repeat has the id and the text of a recent message. With id 0 it is a repeat only on the connection that brought
        the first, or if nothing newer was taken; otherwise the server has booted and sends the same text again."""
        for newer in range(min(self._count - self._count_boot, len(self._recent) // 4)):
            at = (self._count - 1 - newer) * 4 % len(self._recent)
            if self._recent[at : at + 4] == key:
                return key[0] or not newer or self._boot == self.connects

    def _ack(self):
        acks = self._control
        super()._ack()
        self._control = acks + self._control

    def skip(self):
        key = self._key_offered
        if not key[0]:  # the server has booted, and counts from the beginning
            self._count_boot = self._count_up  # the new server has sent all that came on this connection
            self._newest = 0
            self._boot = self.connects
        # Counts ids, so that lost messages count, too; an overtaken message counts as one.
        ahead = (key[0] + 255 - self._newest) % 255
        if ahead < 128:
            self._newest = key[0]
        else:
            ahead = 1
        while True:
            ahead -= 1
            at = self._count * 4 % len(self._recent)
            self._recent[at : at + 4] = bytes(4) if ahead > 0 else key
            self._count += 1
            if ahead <= 0:
                break
