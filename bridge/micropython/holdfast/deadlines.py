"""Messages that must arrive in time or never (DEADLINES.md). The first `write(..., expires=…)` imports this."""
from .core import const, diff

_M32 = const(0xFFFFFFFF)
_LATE = const(4)
_WITHDRAWN = const(3)
_UP = const(3)
_LATE_LINK = const(11)
# ms between two looks at the clock, for a message that is not accepted yet.
_PAUSE = const(20)


def expire(core, n):
    """The time of a message is up. 1: it is withdrawn, and the server never gets it. 2 (dialect 1): it is withdrawn, and nobody
    knows whether the server has it. 0: undecided; call again after every other call, until tx_first has passed it."""
    if hasattr(core, "expire"):  # dialect 1
        return core.expire(n)
    i = n - core.tx_first & _M32
    if i >= len(core._how) or core._how[i] & 3:
        return 0
    if i < core._sent:
        core._how[i] = _LATE
        return 0
    core._how[i] = _WITHDRAWN
    return 1


class Deadlines:
    """A client's messages with a deadline that are under way. `sleep_ms(ms)` pauses a task."""

    def __init__(self, client, sleep_ms):
        self._client = client
        self._sleep_ms = sleep_ms
        self._timed = []  # number, deadline, outcome

    async def write(self, data, wait, expires):
        """Returns None when the server has the message, or else EXPIRED or UNDECIDED: see client.py's LinkError."""
        if not 0 <= expires <= 0x1FFFFFFF:
            raise ValueError("expires")
        client = self._client
        timed = [0, client._now() + expires, 0]
        while client._lock.locked():  # another message waits for its ack
            if self._is_over(timed):
                return "EXPIRED"
            await self._sleep_ms(_PAUSE)
        async with client._lock:
            while True:
                if self._is_over(timed):
                    return "EXPIRED"
                if client._put(data, 1):
                    break
                if client._closed or len(data) > client._core.peer_line:
                    await client._wait(data)  # raises the error
                await self._sleep_ms(_PAUSE)
            timed[0] = client._core.tx_next - 1 & _M32
            self._timed.append(timed)
            if wait:
                return await self._decided(timed, data)
        return await self._decided(timed, data)

    def _is_over(self, timed):
        return diff(timed[1], self._client._now()) <= 0

    async def _decided(self, timed, data):
        client = self._client
        while not timed[2] and not timed[0] - client._core.tx_first & 0x80000000:
            await client._wait(data)
        return (None, "EXPIRED", "UNDECIDED")[timed[2]]

    def look(self, now):
        """Finds the messages whose time is up."""
        client = self._client
        core = client._core
        for timed in list(self._timed):
            if timed[0] - core.tx_first & 0x80000000:
                self._timed.remove(timed)
            elif diff(timed[1], now) <= 0:
                timed[2] = expire(core, timed[0])
                late = diff(now, timed[1])
                if timed[2]:
                    self._timed.remove(timed)
                    client._tell()
                elif client._up and core.state == _UP and min(late, diff(now, core._up)) >= core.timeout:
                    core.closed(now, _LATE_LINK)
                    client._drop()  # the next greeting decides
