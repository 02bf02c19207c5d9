"""The device's end of a Holdfast link in dialect 2 of PROTOCOL.md: framing, numbers, greeting, outbox, keepalives, timeouts,
and when to connect again. It has no socket, no clock and no timer. dialect1.py is the same for dialect 1.

The contract is that of client-as/assembly/core.ts, and both pass the same vectors:

- Call `poll(now, can)` after every other call and when `wait` ms have passed, until it returns 0. `now` is in ms and wraps at
  2**30. `can` is 1 (bytes can be sent), 2 (the application can take a message), or both.
- 1, connect: open a connection, then call `opened(now, nonce)` with 16 random bytes, or `closed(now)` if that fails.
- 2, close: drop the connection; `reason` says why: errors.py has their names.
- 3, send: send `data`, all of it.
- 4, message: `data` is for the application; call `take()` once it is done with it.
- `received(buf, n, now)` passes in the first n bytes of a buffer, at most `space()`, after a `poll` that returned 0.
- `write(text, qos)` accepts a message, or returns False: not now, or a bad text (empty, too long, with a newline, or
  starting with NUL). `tx_next` counts the messages accepted, `tx_first` those that left the outbox, both modulo 2**32.
- Set `resume` to `now` after a close to start the next attempt without a pause.
- `rx_epoch` and `rx_next` are the position in the server's stream: keep them where they survive a reset.
- `failures` counts the attempts since a link lasted for the timeout.
- `state` is 0 before an attempt, 1 while it connects, 2 in the greeting, 3 when the link is up, -1 before it asks to close.

Constants begin with an underscore, so that MicroPython's compiler replaces them by their numbers. A name has the same number in
all files of this package.

Long because it is one state machine, and each imported module costs a board RAM.
"""
from binascii import hexlify, unhexlify
from hashlib import sha256
from struct import pack, unpack


def const(value):
    """For CPython: MicroPython's compiler has it built in."""
    return value


_NONE = const(0)
_CONNECT = const(1)
_CLOSE = const(2)
_SEND = const(3)
_MESSAGE = const(4)

_CLOSING = const(-1)
_IDLE = const(0)
_CONNECTING = const(1)
_GREETING = const(2)
_UP = const(3)

# Why a connection has ended. When a state has lasted too long, its own number is the reason.
_NO_GREETING = const(2)
_STALLED = const(4)
_LOST = const(5)
_LINE_TOO_LONG = const(6)
_BAD_LINE = const(7)
_GAP = const(8)
_BAD_POSITION = const(9)
# From this one on, the pause before the next attempt is long.
_BAD_GREETING = const(16)
_BAD_PROOF = const(17)
_REFUSED = const(18)

# State of a message in the outbox; 0: it waits for its ack.
_QOS_OFF = const(1)
_DONE = const(2)
_WITHDRAWN = const(3)
_LATE = const(4)  # its time was up when the server may have had it: it is not sent again

_M32 = const(0xFFFFFFFF)
# Bytes of a message beside its text: on the wire, and in the outbox. The latter is as in core.ts, so that both hold as much.
_FRAME = const(3)
_COST = const(7)


def diff(a, b):
    """From time b to time a."""
    return (a - b + 0x20000000 & 0x3FFFFFFF) - 0x20000000


def unhex(digits):
    """The bytes of lower-case hex digits. False if there are none, or other characters."""
    try:
        value = unhexlify(digits)
    except ValueError:
        return False
    return hexlify(value) == digits and value


def hmac(key, data):
    """HMAC-SHA256."""
    for pad in (b"\x36", b"\x5c"):
        block = bytearray(pad * 64)
        for i in range(32):
            block[i] ^= key[i]
        h = sha256(block)
        h.update(data)
        data = h.digest()
    return data


class Core:
    """`name` is the end of the hello: the id and the metadata. `key` is 32 bytes or None, `epoch` a random word that is not 0,
    `seed` another random word. `line` is the longest text in bytes, `inbox` and `outbox` are bytes, `window` is the most
    messages in the outbox, `timeout` is in ms."""

    def __init__(self, name, now, timeout, line, inbox, outbox, window, key, seed, epoch, position):
        self.name = name
        self.timeout = timeout
        self.line = self.peer_line = line
        self._inbox = inbox
        self._outbox = outbox
        self._window = window
        self._key = key
        self._suite = 2 if key else 0
        self._seed = seed
        self.tx_epoch = epoch
        self.rx_epoch, self.rx_next = position
        self._peer_window = 1
        self._peer_bytes = 0
        self._out = []  # texts from tx_first on
        self._how = []  # their states
        # _next: the next one to send. Those before _sent may be at the server.
        self.tx_first = self.tx_next = self._known = self._next = self._sent = 0
        self.state = self.refusal = self.connects = self.failures = self._up = self.wait = 0
        self._down(now, 0)

    # What the application does.

    def write(self, text, qos):
        n = len(text)
        if (
            not 0 < n <= self.line
            or n > self.peer_line
            or len(self._out) >= self._window
            or self._size(self._window) + n + _COST > self._outbox
            or not text[0]
            or b"\n" in text
            # If more of them were lost, ids would wrap unnoticed.
            or not qos
            and (self.state != _UP or self.tx_next - self._known & _M32 > 63)
        ):
            return False
        self._out.append(text)
        self._how.append(0 if qos else _QOS_OFF)
        self.tx_next = self.tx_next + 1 & _M32
        return True

    def _size(self, n):
        """Bytes of the first n messages in the outbox."""
        size = 0
        for text in self._out[:n]:
            size += len(text) + _COST
        return size

    def take(self):
        """The application is done with the message that `poll` has offered: acknowledges it."""
        if self._in:
            self.skip()
            self._ack()

    def skip(self):
        """The connection is gone, and the application has the message that `poll` has offered last: counts it as taken."""
        self.rx_next = self.rx_next + 1 & _M32

    # What the connection does.

    def opened(self, now, nonce):
        if self.state == _CONNECTING:
            self.state = _GREETING
            self._heard = self._said = now
            self._control = self._hello(nonce)

    def closed(self, now, reason=_LOST):
        if self.state:
            self._down(now, reason)

    def space(self):
        """How many bytes may be received now."""
        return self._inbox - self._got - len(self._part)

    def received(self, buf, n, now):
        if self.state == _UP:  # half a welcome does not count
            self._heard = now
        at = 0
        while at < n and self.state >= _GREETING:
            end = at
            while end < n and buf[end] != 10:
                end += 1
            part = self._part
            if end > at:
                part += buf[at:end]
            reason = 0
            if len(part) >= self.line + _FRAME:
                reason = _LINE_TOO_LONG
            elif end < n:
                if part:
                    self._part = bytearray()
                reason = self._read(part, now)
            if reason:
                self._down(now, reason)
                self.state = _CLOSING
            at = end + 1

    def poll(self, now, can):
        state = self.state
        timeout = self.timeout
        if state < 0:
            self.state = _IDLE
            return _CLOSE
        if not state:
            wait = diff(self.resume, now)
            if wait <= 0:
                self.state = _CONNECTING
                self._heard = now
                return _CONNECT
        else:
            # Without room to receive, silence says nothing about the other end.
            if self.space() <= 0:
                self._heard = now
            self._steady(now)
            # An attempt that began during an outage is given up soon: before TCP repeats a lost SYN (1 s).
            wait = diff(self._heard, now) + (timeout if state == _UP else timeout * 3 >> 3)
            reason = state if wait <= 0 else 0
            if state >= _GREETING:
                if can & 2 and self._offer():
                    return _MESSAGE
                due = timeout >> state - 1
                if can & 1:
                    due += diff(self._said, now)
                    if not reason:
                        data = self._control
                        # Half as often before the link is up. In dialect 2 that is never: it does not wait so long for the welcome.
                        if not data and due <= 0:
                            data = b"\n"
                        self._control = b""
                        if not data and state == _UP:
                            data = self._message(now)
                        if data:
                            self.data = data
                            self._said = now
                            return _SEND
                elif diff(now, self._said) >= timeout:
                    reason = _STALLED
                if due < wait:
                    wait = due
            if reason:
                self._down(now, reason)
                return _CLOSE
        self.wait = wait
        return _NONE

    def _message(self, _now):
        """The next line that may be sent now."""
        while self._next < len(self._out):
            i = self._next
            how = self._how[i]
            if how == _LATE or i and (i >= self._peer_window or self._size(i + 1) > self._peer_bytes):
                return
            self._next = i + 1
            if i >= self._sent:
                self._sent = i + 1
            if how != _DONE:
                return b"%02x" % self._id(i) + (b"\0" if how == _WITHDRAWN else self._out[i]) + b"\n"

    def _offer(self):
        """Offers the oldest message."""
        while self._in:
            if self._in[0][2]:
                self.data = self._in[0][2:]
                return True
            self.take()  # withdrawn by its sender

    def _ack(self):
        line = self._in.pop(0)
        self._got -= len(line) + 1
        self._control = line[:2] + b"\n"  # it covers every earlier ack

    def _keep(self, line):
        """A message has arrived."""
        self._in.append(bytes(line))
        self._got += len(line) + 1

    def _linked(self, now):
        self.state = _UP
        self.connects += 1
        self._up = self._heard = now
        self._known = self.tx_next
        # The other end waits to hear from us: sends at once, if only a keepalive.
        self._said = now - (self.timeout >> 2)

    def _trim(self, n):
        """Removes the first n from the outbox: they are done."""
        del self._out[:n]
        del self._how[:n]
        self.tx_first = self.tx_first + n & _M32
        self._next = max(self._next - n, 0)
        self._sent = max(self._sent - n, 0)

    def _steady(self, now):
        if self.state == _UP and diff(now, self._up) >= self.timeout:
            self.failures = 0

    def _down(self, now, reason):
        """The connection is gone: forgets its state, and plans the next attempt."""
        self._steady(now)
        self.reason = reason
        self.state = self._got = self._next = 0
        self._control = b""
        self._in = []
        self._part = bytearray()
        self._withdraw(_M32)  # messages without qos are not sent again
        # At once, then after 1/32, 1/16, 1/8 and 1/4 of the timeout, less a random part of up to a half. Also at once after an
        # attempt without an answer, which was a pause itself.
        pause = 0
        if reason >= _BAD_GREETING:
            pause = self.timeout << 2
        elif self.failures and reason > _NO_GREETING:
            pause = self.timeout >> max(6 - self.failures, 2)
        jitter = ((now ^ self._seed) * 0x9E3779B1 & _M32) >> 16
        self.resume = now + pause - (jitter * pause >> 17)
        self.failures += 1

    # Overridden in dialect1.py.

    def _id(self, i):
        """The id of a message in the outbox."""
        return self.tx_first + i & 255

    def _withdraw(self, longest):
        """Withdraws messages without qos, and those too long for the other end. Their numbers are still sent."""
        for i in range(len(self._how)):
            if self._how[i] & 3 or len(self._out[i]) > longest:
                self._how[i] = _WITHDRAWN

    def _hello(self, nonce):
        words = pack(
            ">B7I",
            self._suite,
            self.tx_epoch,
            self.tx_first,
            self.rx_epoch,
            self.rx_next,
            self._window,
            self._inbox - self.line - _FRAME,
            self.line,
        )
        self._greeting = b"\1" + hexlify(words + nonce) + self.name + b"\n"
        return self._greeting

    def _read(self, line, now):
        """Handles a line. Returns what is wrong with it."""
        # A refusal may also come after the proof: no message starts like this.
        if line and line[0] == 4:
            code = unhex(line[1:3])
            self.refusal = code[0] & 63 if code else 0
            return _REFUSED
        if self.state != _UP:
            return self._greeted(bytes(line), now)
        # The server speaks here, so it has dropped our previous connection: nothing that was sent there can reach it any more.
        self._sent = self._next
        if line:
            n = unhex(line[:2])
            if not n:
                return _BAD_LINE
            n = n[0]
            if len(line) > 2:
                if n != self.rx_next + len(self._in) & 255:
                    return _GAP
                return self._keep(line)
            # The server has the message with this id, and all before it.
            self._known = self.tx_next
            there = n - self.tx_first & 255
            if there < self._next:
                self._trim(there + 1)
            elif there != 255:  # 255: the last acknowledged message, which is fine
                return _BAD_POSITION

    def _greeted(self, line, now):
        """Handles the welcome, the first line after the hello. Returns what is wrong with it."""
        key = self._key
        welcome = unhex(line[1:59])
        if len(line) != (123 if key else 91) or line[0] != 2 or not welcome:
            return _BAD_GREETING
        welcome = bytearray(welcome)
        if key:  # the key's HMAC of the nonce masks the four positions
            mask = hmac(key, line[59:91])
            for i in range(16):
                welcome[i + 1] ^= mask[i]
        suite, tx_epoch, tx_first, rx_epoch, rx_next, window, size, longest = unpack(">B7I", welcome)
        if suite != self._suite or not 0 < window <= 64 or not 0 < longest <= size - _FRAME or not tx_epoch:
            return _BAD_GREETING
        if key:
            said = self._greeting + line
            wrong = 0
            for a, b in zip(hexlify(hmac(key, said[:-32])), line[91:]):  # the first half
                wrong |= a ^ b
            if wrong:
                return _BAD_PROOF
            self._control = b"\3" + hexlify(hmac(key, said + b"\n"))[:32] + b"\n"
        self._peer_window = window
        self._peer_bytes = size
        self.peer_line = longest
        if rx_epoch != self.tx_epoch:
            return _BAD_POSITION
        there = rx_next - self.tx_first & _M32
        if there > len(self._out):
            # Otherwise the other end would repeat this for ever: begins a new stream, with another epoch.
            self.tx_epoch = int(self._greeting[59:67], 16) | 1
            return _BAD_POSITION
        self._trim(there)
        self._withdraw(longest)
        if self.rx_epoch != tx_epoch or self.rx_next - tx_first & 0x80000000:
            self.rx_next = tx_first
        self.rx_epoch = tx_epoch
        self._greeting = None
        self._linked(now)
