"""The device's end of a Holdfast link in dialect 2 of PROTOCOL.md: framing, numbers, greeting, outbox, keepalive, timeouts,
and the decision when to connect again. It has no socket, no clock and no timer. dialect1.py is the same in dialect 1.

The contract is that of client-as/assembly/core.ts, and the same vectors replay on both:

- Call `poll(now, can)` after every other call and when `wait` ms have passed, until it returns NONE. `now` is in ms and
  wraps at 2**30. `can` is 1 (bytes can be sent), 2 (the application can take a message), or both.
- CONNECT: open a connection, then call `opened(now, nonce)` with 16 random bytes, or `closed(now)` if that fails.
- CLOSE: drop the connection; `reason` says why.
- SEND: send `data`, all of it.
- MESSAGE: `data` is for the application; call `take()` once that is done with it.
- `received(buf, n, now)` gives it the first n bytes of a buffer, at most `space()`, after a `poll` that returned NONE.
- `write(text, qos)` accepts a message, or returns False: not now, or never (empty, a newline in it, NUL first, or too long).
  `tx_next` counts the messages accepted, `tx_first` those that left the outbox, in their order, both modulo 2**32.
- `hurry(now)` after a CLOSE: the next attempt need not wait.
- `rx_epoch` and `rx_next` are the position in the server's stream: keep them where a reset does not erase them.
- `expire(number)`: the time of a message is up. 1: it is withdrawn and the server will never see it. 2 (dialect 1): it is
  withdrawn, and nobody can know. 0: not decided: call it again after every other call, while tx_first is not beyond it.


Long because it is one machine, and each module that is imported costs a board RAM.
"""
from binascii import hexlify, unhexlify
from hashlib import sha256

try:
    from micropython import const
except ImportError:  # CPython

    def const(value):
        return value


NONE = const(0)
CONNECT = const(1)
CLOSE = const(2)
SEND = const(3)
MESSAGE = const(4)

_CLOSING = const(-1)
_IDLE = const(0)
_CONNECTING = const(1)
_GREETING = const(2)
UP = const(3)

# How it stands with a message in the outbox; 0: it waits for its ack.
_QOS_OFF = const(1)
DONE = const(2)
_WITHDRAWN = const(3)
_LATE = const(4)  # its time was up when it may have been there: it is not sent again

_M32 = const(0xFFFFFFFF)
# Bytes in the outbox beside a text: those of core.ts, so that both hold as much.
_COST = const(4)

# What a state waits for too long.
_WAITED = (None, "NO_ANSWER", "NO_GREETING", "SILENT")


def diff(a, b):
    """From time b to time a."""
    return (a - b + 0x20000000 & 0x3FFFFFFF) - 0x20000000


def number(digits):
    """Reads lower-case hex digits. Raises ValueError."""
    value = unhexlify(digits)
    if hexlify(value) != digits:
        raise ValueError
    return int.from_bytes(value, "big")


def _hmac(key, data):
    for pad in (0x36, 0x5C):
        h = sha256(bytes(byte ^ pad for byte in key + bytes(32)))
        h.update(data)
        data = h.digest()
    return hexlify(data[:16])


class Core:
    """`name` is the id and what else the hello ends in, `key` 32 bytes or None, `epoch` a random word that is not 0,
    `seed` another. `line` is the longest text in bytes, `inbox` and `outbox` are bytes, `window` most messages in the
    outbox, `timeout` ms."""

    def __init__(self, name, now, timeout, line, inbox, outbox, window, key, seed, epoch, position):
        self._two = True  # dialect 2
        self.name = name
        self.timeout = timeout
        self.line = self.peer_line = line
        self._inbox = inbox
        self._outbox = outbox
        self._window = window
        self._key = key
        self._seed = seed
        self.tx_epoch = epoch
        self.rx_epoch, self.rx_next = position
        self.tx_first = self.tx_next = self._known = self.connects = self._up = 0
        self._peer_window = 1
        self._peer_bytes = 1400  # dialect 1: about a segment
        self._patience = timeout * 3 >> 3
        self._out = []  # lines from tx_first on
        self._how = []  # how it stands with each
        self._used = 0  # bytes of them
        self._next = 0  # the next one to send
        self._ahead = 0  # bytes of those before it
        self._sent = 0  # those before this one may be at the server
        self.state = self.refusal = self._failures = self._expected = 0
        self.wait = 0
        self._down(now, None)

    # What the application does.

    def write(self, text, qos):
        n = len(text)
        used = self._used + n + 3 + _COST
        if (
            not 0 < n <= self.line
            or n > self.peer_line
            or len(self._out) >= self._window
            or used > self._outbox
            or not text[0]
            or b"\n" in text
            # Were more of them lost than that, ids would come round unnoticed.
            or not qos
            and (self.state != UP or self.tx_next - self._known & _M32 > 63)
        ):
            return False
        n = self.tx_next
        self._out.append(b"%02x" % (n & 255 if self._two else (n - 1) % 255 + 1 if n else 0) + text + b"\n")
        self._how.append(0 if qos else _QOS_OFF)
        self._used = used
        self.tx_next = self.tx_next + 1 & _M32
        return True

    def expire(self, n):
        i = n - self.tx_first & _M32
        if i >= len(self._how) or self._how[i] & 3:
            return 0
        if i < self._sent:
            self._how[i] = _LATE
            return 0
        self._how[i] = _WITHDRAWN
        return 1

    def take(self):
        """The application is done with the message that `poll` offered: acknowledges it."""
        if self._offered:
            self.skip()
            self._acknowledge()

    def skip(self):
        """The connection is gone, and the application has the message that `poll` offered last: it counts as taken."""
        self.rx_next = self.rx_next + 1 & _M32

    # What the connection does.

    def opened(self, now, nonce):
        if self.state == _CONNECTING:
            self.state = _GREETING
            self._heard = self._said = now
            self._control = self._hello(nonce)

    def closed(self, now):
        if self.state:
            self._down(now, "LOST")

    def hurry(self, now):
        """The next attempt need not wait: it goes elsewhere."""
        self._resume = now

    def space(self):
        """How many bytes may be received now."""
        return self._inbox - self._got - len(self._part)

    def received(self, buf, n, now):
        if self.state < _GREETING:
            return
        if self.state == UP or not self._two:  # half a welcome does not count
            self._heard = now
        at = 0
        while at < n:
            end = at
            while end < n and buf[end] != 10:
                end += 1
            part = self._part
            if end > at:
                part += buf[at:end]
            reason = None
            if len(part) >= self.line + 3:
                reason = "LINE_TOO_LONG"
            elif end < n:
                if part:
                    self._part = bytearray()
                reason = self._read(part, now)
            if reason:
                self._down(now, reason)
                self.state = _CLOSING
                return
            at = end + 1

    def poll(self, now, can):
        state = self.state
        timeout = self.timeout
        if state < 0:
            self.state = _IDLE
            return CLOSE
        if not state:
            wait = diff(self._resume, now)
            if wait <= 0:
                self.state = _CONNECTING
                self._heard = now
                return CONNECT
        else:
            # Without room for what may have arrived, silence says nothing about the other end.
            if self.space() <= 0:
                self._heard = now
            self._steady(now)
            # An attempt that began in an outage is given up soon after it: before TCP repeats a lost SYN (1 s).
            wait = diff(self._heard, now) + (
                timeout
                if state == UP
                else self._patience
                if state == _GREETING
                else timeout * 3 >> 3
            )
            reason = _WAITED[state] if wait <= 0 else None
            if state >= _GREETING:
                if can & 2 and self._offer():
                    return MESSAGE
                due = timeout >> state - 1
                if can & 1:
                    if not reason and self._send(now):
                        return SEND
                    due += diff(self._said, now)
                elif diff(now, self._said) >= timeout:
                    reason = "STALLED"
                if due < wait:
                    wait = due
            if reason:
                self._down(now, reason)
                return CLOSE
        self.wait = wait
        return NONE

    def _send(self, now):
        data = self._control
        # Half as often before the link is up: in dialect 2 never, as it does not wait for the welcome longer.
        if not data and diff(now, self._said) >= self.timeout >> self.state - 1:
            data = b"\n"
        self._control = b""
        if not data and self.state == UP:
            data = self._message(now)
        if data:
            self.data = data
            self._said = now
        return data

    def _message(self, now):
        """The next line that may go out now."""
        while self._next < len(self._out):
            i = self._next
            line = self._out[i]
            how = self._how[i]
            ahead = self._ahead + len(line) + _COST
            # In dialect 1 nothing follows 00 before its ack: with newer messages taken, its repeat would look like a boot.
            if how == _LATE or i and (
                ahead > self._peer_bytes or (i >= self._peer_window if self._two else not self.tx_first)
            ):
                return
            self._next = i + 1
            self._ahead = ahead
            if i >= self._sent:
                self._sent = i + 1
            if how == _WITHDRAWN:
                return line[:2] + b"\0\n"
            if how != DONE:
                if how and not self._two:  # without qos it is sent once
                    self._how[i] = DONE
                    self._collapse()
                return line

    def _offer(self):
        """Offers the oldest message."""
        while self._in:
            self._offered = True
            if self._in[0][2]:
                self.data = self._in[0][2:]
                return True
            self.take()  # withdrawn by its sender

    def _acknowledge(self):
        line = self._in.pop(0)
        self._got -= len(line) + 1
        self._control = line[:2] + b"\n"  # it says all that an earlier ack says
        self._offered = False

    def _read(self, line, now):
        """A line has ended. Returns what is wrong with it."""
        # It may come behind the proof as well: no message starts so.
        if line and line[0] == 4 and self._two:
            try:
                self.refusal = number(line[1:3]) & 63
            except ValueError:
                self.refusal = 0
            return "REFUSED"
        if self.state != UP:
            reason = self._greeted(line, now)
            if not reason:
                self.state = UP
                self.connects += 1
                self._up = self._heard = now
                self._known = self.tx_next
                # The other end waits to hear us: at once, if only a keepalive.
                self._said = now - (self.timeout >> 2)
            return reason
        if self._two:
            # It has dropped the connection before this one, which could bring something beside the welcome until then.
            self._sent = self._next
        return self._plain(line, now)

    def _plain(self, line, now):
        if line:
            try:
                n = number(line[:2])
            except ValueError:
                return "BAD_LINE"
            if len(line) == 2:
                self._known = self.tx_next
                return self._acked(n, now)
            if self._two:
                if n != self._expected & 255:
                    return "GAP"
                self._expected += 1
            elif self._got + len(line) >= self._inbox - self.line - 3:
                return  # it was read only for the acks behind it: not acknowledged, it will come again
            self._in.append(bytes(line))
            self._got += len(line) + 1

    def _collapse(self):
        """What is done with leaves the outbox, in its order."""
        while self._how and self._how[0] == DONE:
            self._how.pop(0)
            size = len(self._out.pop(0)) + _COST
            self._used -= size
            self.tx_first = self.tx_first + 1 & _M32
            if self._next:
                self._next -= 1
                self._ahead -= size
            if self._sent:
                self._sent -= 1

    def _withdraw(self, longest):
        """Nobody is to see what is qos off, or longer than the other end takes."""
        for i in range(len(self._how)):
            if self._how[i] & 3 or len(self._out[i]) - 3 > longest:
                self._how[i] = _WITHDRAWN if self._two else DONE  # in dialect 2 its number must go out
        self._collapse()

    def _steady(self, now):
        if self.state == UP and diff(now, self._up) >= self.timeout:
            self._failures = 0

    def _down(self, now, reason):
        """The connection is gone: what belonged to it is forgotten, and the next attempt planned."""
        self._steady(now)
        self.reason = reason
        self.state = _IDLE
        self._control = b""
        self._in = []
        self._got = 0
        self._part = bytearray()
        self._offered = False
        self._withdraw(_M32)  # what is qos off had its chance
        self._next = self._ahead = 0
        # At once, then after 1/32, 1/16, 1/8 and 1/4 of the timeout, less up to a half; also at once after an attempt that
        # nobody answered: it was a pause itself.
        pause = 0
        if reason in ("BAD_GREETING", "BAD_PROOF", "REFUSED"):
            pause = self.timeout << 2
        elif self._failures and reason not in ("NO_ANSWER", "NO_GREETING"):
            pause = self.timeout >> max(6 - self._failures, 2)
        jitter = ((now ^ self._seed) * 0x9E3779B1 & _M32) >> 16
        self._resume = now + pause - (jitter * pause >> 17)
        self._failures += 1

    # What dialect1.py has instead.

    def _hello(self, nonce):
        self._greeting = (
            b"\1%02x%08x%08x%08x%08x%08x%08x%08x"
            % (
                2 if self._key else 0,
                self.tx_epoch,
                self.tx_first,
                self.rx_epoch,
                self.rx_next,
                self._window,
                self._inbox - self.line - 3,
                self.line,
            )
            + hexlify(nonce)
            + self.name
            + b"\n"
        )
        return self._greeting

    def _greeted(self, line, _now):
        """The first line has arrived, behind the hello. Returns what is wrong with it."""
        key = self._key
        line = bytes(line)
        if len(line) != (123 if key else 91) or line[0] != 2:
            return "BAD_GREETING"
        try:
            words = unhexlify(line[3:59])
            if hexlify(words) != line[3:59] or number(line[1:3]) != (2 if key else 0):
                raise ValueError
        except ValueError:
            return "BAD_GREETING"
        words = [int.from_bytes(words[i : i + 4], "big") for i in range(0, 28, 4)]
        if key:  # what it makes of the nonce hides the four positions
            mask = _hmac(key, line[59:91])
            for i in range(4):
                words[i] ^= number(mask[i * 8 : i * 8 + 8])
        tx_epoch, tx_first, rx_epoch, rx_next, window, size, longest = words
        if not 1 <= window <= 64 or not 1 <= longest <= size - 3 or not tx_epoch:
            return "BAD_GREETING"
        if key:
            said = self._greeting + line
            wrong = 0
            for a, b in zip(_hmac(key, said[:-32]), line[91:]):
                wrong |= a ^ b
            if wrong:
                return "BAD_PROOF"
            self._control = b"\3" + _hmac(key, said + b"\n") + b"\n"
        self._peer_window = window
        self._peer_bytes = size
        self.peer_line = longest
        if rx_epoch != self.tx_epoch:
            return "BAD_POSITION"
        there = rx_next - self.tx_first & _M32
        if there > len(self._out):
            # The other end would say so for ever: for it, the stream gets another name, and is new.
            self.tx_epoch = number(self._greeting[59:67]) | 1
            return "BAD_POSITION"
        for i in range(there):
            self._how[i] = DONE
        self._collapse()
        self._withdraw(longest)
        if self.rx_epoch != tx_epoch or self.rx_next - tx_first & 0x80000000:
            self.rx_next = tx_first
        self.rx_epoch = tx_epoch
        self._expected = self.rx_next

    def _acked(self, n, _now):
        """The server has the message with this id, and all before it."""
        there = n - self.tx_first & 255
        if there < self._next:
            for i in range(there + 1):
                self._how[i] = DONE
            self._collapse()
        elif there != 255:  # of the last one acknowledged it says nothing
            return "BAD_POSITION"
