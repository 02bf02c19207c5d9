"""Polls sockets of socket.py: each connects at once."""
POLLOUT = 4


class poll:
    def register(self, sock, events):
        self._sock = sock

    def poll(self, timeout):
        return [(self._sock, POLLOUT)]
