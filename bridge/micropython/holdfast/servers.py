"""Which address of the server a client tries next. Imported if `server` is a list."""
from .core import const

_REFUSED = const(18)


class Servers:
    def __init__(self, client, names):
        if not names:
            raise ValueError("server")
        self._hosts = [[name, None] for name in names]  # the current one first
        client._host = self._hosts[0]
        self._away = 0  # addresses that have sent this device away since a link last lasted for the timeout

    def next(self, client, up):
        """A connection has ended. `up`: the link was up."""
        core = client._core
        hosts = self._hosts
        if core.failures == 1:  # the link has lasted for the timeout
            self._away = 0
        away = core.reason == _REFUSED and core.refusal == 7  # the server is about to stop
        if away:
            # If all servers send it away, one after the other, it pauses as after any refusal.
            self._away += 1
            if self._away < len(hosts):
                core.resume = client._last
        if not core.failures & 7:
            for host in hosts:
                host[1] = None
        if away or not up:  # after a lost link, the same address comes first
            hosts.append(hosts.pop(0))
            client._host = hosts[0]
