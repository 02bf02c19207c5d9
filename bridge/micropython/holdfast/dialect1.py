"""The device's end of a link in dialect 1 (DIALECT1.md), that of micropython-iot and its servers. The contract is that of
core.py. The position is not used."""
from hashlib import sha256

from .core import DONE, Core, const, number

_M32 = const(0xFFFFFFFF)


class Core1(Core):
    """`recent` is how many messages that were taken it remembers to recognise repeats, 1 to 223."""

    def __init__(self, name, now, timeout, *args, recent=64):
        self._recent = bytearray(recent * 4)  # of each an id, and three bytes of a digest
        self._count = 0  # messages taken
        self._count_up = 0  # as many when the link came up
        self._count_boot = 0  # as many when the server booted: what it took before is forgotten
        self._boot = 0  # the connection on which that boot was seen
        self._newest = 0
        self._progress = 0  # time of the last ack, or when the first message without one was sent
        super().__init__(name, now, timeout, *args)
        self._two = False
        self._patience = timeout << 1  # micropython-iot's server accepts five connections a second

    def _hello(self, _nonce):
        return self.name + b"\n"

    def space(self):
        # While messages lack an ack, read on beyond the limit: their acks may be next.
        return super().space() - (0 if self._next else self.line + 3)

    def _greeted(self, line, now):
        reason = self._plain(line, now)
        self._count_up = self._count
        return reason

    def _acked(self, n, now):
        for i in range(self._next):
            if not self._how[i] and number(self._out[i][:2]) == n:
                self._progress = now
                self._how[i] = DONE
                self._collapse()
                return

    def _message(self, now):
        if not self._next:
            self._progress = now
        if (now - self._progress & 0x3FFFFFFF) >= self.timeout:  # no ack for too long
            self._next = self._ahead = 0
            self._progress = now
        return super()._message(now)

    def expire(self, n):
        i = n - self.tx_first & _M32
        # It cannot do without 00, nor without many ids in a row: they tell a message from a repeat.
        if i >= len(self._how) or self._how[i] & 3 or (n - 1 & _M32) >= self._known + 63:
            return 0
        there = i < self._sent
        self._how[i] = DONE
        self._collapse()
        return 1 + there

    def _offer(self):
        while self._in and len(self._control) < 62:
            line = self._in[0]
            key = bytearray(sha256(line[2:]).digest()[:4])
            key[0] = int(line[:2], 16)
            key[1] |= 1
            if not self._is_repeat(key):
                self._key_offered = key
                self._offered = True
                self.data = line[2:]
                return True
            self._acknowledge()

    def _is_repeat(self, key):
        """A repeat carries what the same id carried a short while ago. Id 0 is one on the connection that brought it, or
        while nothing newer was taken; otherwise the server has booted and says the same as the last time."""
        for newer in range(min(self._count - self._count_boot, len(self._recent) // 4)):
            at = (self._count - 1 - newer) * 4 % len(self._recent)
            if self._recent[at : at + 4] == key:
                return key[0] or not newer or self._boot == self.connects

    def _acknowledge(self):
        acks = self._control
        super()._acknowledge()
        self._control = acks + self._control

    def skip(self):
        key = self._key_offered
        if not key[0]:  # the server has booted, and counts from the beginning
            self._count_boot = self._count_up  # on this connection it was itself already
            self._newest = 0
            self._boot = self.connects
        # Counted in ids, so that lost messages count too; one that was overtaken counts as one.
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
