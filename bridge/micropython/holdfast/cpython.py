"""Functions and methods of MicroPython that CPython has under other names."""
import asyncio
import ssl
import time

_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def ticks_ms():
    return time.monotonic_ns() // 1_000_000


async def sleep_ms(ms):
    await asyncio.sleep(ms / 1000)


class Stream:
    """A non-blocking socket with MicroPython's methods."""

    def __init__(self, sock):
        self._sock = sock

    def readinto(self, buf, n):
        try:
            return self._sock.recv_into(buf, n)
        except _LATER:
            return None

    def write(self, data):
        try:
            return self._sock.send(data)
        except _LATER:
            return None

    def close(self):
        self._sock.close()


def complete(client):
    """Gives a client the method that CPython's await uses, and sockets like a board's."""
    client._wrap = Stream
    client.__class__.__await__ = lambda self: self.ready().__await__()
