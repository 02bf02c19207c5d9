"""A link to a server that outlives outages: `Client`. It drives a core (core.py) with a non-blocking socket and the clock.
Features that not every application needs are in modules of their own, which are imported on demand."""
import select
import socket
from errno import EINPROGRESS
from os import urandom

from .core import const, diff

try:
    from asyncio import sleep_ms
    from time import ticks_ms
except ImportError:
    from .cpython import sleep_ms, ticks_ms

_M32 = const(0xFFFFFFFF)
# A core's events, states and reasons: see core.py.
_CONNECT = const(1)
_CLOSE = const(2)
_SEND = const(3)
_MESSAGE = const(4)
_GREETING = const(2)
_UP = const(3)
_LOST = const(5)
_BAD_UTF8 = const(10)
# ms between two polls of the socket: while an answer is expected, and otherwise.
_SOON = const(5)
_PAUSE = const(20)
_POLLOUT = const(4)


class LinkError(Exception):
    """args[0] says why a message was not delivered: EXPIRED (the server never gets it), UNDECIDED (nobody knows whether it did),
    BAD_TEXT (too long for the server), or CLOSED."""


class Client:
    """Connects by itself, and again after every outage. Create it in a coroutine, like micropython-iot's.

    my_id     this device's name at the server
    server    address of the server, or a list of them
    port      8123
    ssid, pw  the WiFi network; without ssid, the application joins a network itself (an ESP8266 joins its last one)
    timeout   ms, 2000; the server's must be the same
    conn_cb   function or coroutine, called with True when the link is up or False when it is lost, followed by conn_cb_args
    verbose   True: prints why each connection has ended
    led       blinks when something arrives: a pin, or an object with toggle()
    wdog      True: a watchdog with the port's longest time; or an object with feed()

    Keyword arguments only:

    wifi_cb   function or coroutine, called with True when WiFi is up and with False when it is lost
    key       32 bytes that the server also has. Dialect 2
    suite     with a key: 2, or 3 for a link that is sealed (line: 1021 at most)
    dialect   1 for micropython-iot's servers
    memory    keeps the client's position through resets: see memory.py. Dialect 2
    metadata  pairs that the hello tells the server about the device: "board=d1 place=kitchen"
    tls       an ssl.SSLContext
    line      longest text in bytes, 256; inbox, outbox: bytes, 1024; window: most messages that may wait for an ack, 1 to 64

    `connects` is how often the link came up.
    """

    connects = 0

    # Optional features stay None unless the application asks for them. Callbacks and modules of ours:
    _conn_cb = _wifi = _wdog = _led = _verbose = _memory = _wrap = None
    _timed = None  # messages with a deadline
    _servers = None  # several addresses: servers.py
    _name = None  # dialect 2: the end of the hello, without the ms

    _up = _closed = False
    _last = _rounds = 0  # the clock's last time, and how often it has wrapped
    _sock = _poller = None  # with a poller, the socket is not connected yet
    _rest = None  # bytes still to be sent
    _wants = False  # somebody waits for a message
    _got = None  # its text, for them
    _held = None  # the message that the application is processing
    _kept = False  # it counts as taken: the connection that brought it is gone

    def __init__(self, *args, **options):
        from .setup import setup

        setup(self, *args, **options)

    # For the application.

    def status(self):
        """Whether the link is up."""
        return self._up

    __call__ = status

    async def ready(self):
        """Waits until the link is up; so does `await client`."""
        while not self._up:
            await self._wait()

    __iter__ = ready  # what MicroPython's await uses

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.readline()
        except LinkError:
            raise StopAsyncIteration  # it was closed

    async def readline(self):
        """The next message, without a newline. The call says that the message before has been processed: only then is that
        acknowledged. If the memory cannot save this, its exception is raised, and nothing is acknowledged; you can call again."""
        if self._got is None:
            self._done()
            self._wants = True
            self._pump()
        while self._got is None:
            await self._wait()
        text = self._got
        self._got = None
        return text

    async def write(self, line, qos=True, wait=True, expires=None):
        """Sends a message, and returns True when the server has it. During an outage it waits.

        Without qos it returns at once: True if the message was handed to the network, False if there is no link or no room. With
        wait, the default, no other message is sent before the ack has come; otherwise several calls may be under way, and keep
        their order. expires is in ms, below 2**29: either the server gets the message in time, or LinkError EXPIRED is raised.
        Cancelling a call does not withdraw a message that was sent."""
        data = self._bytes(line)
        if not qos:
            return self._put(data, 0)
        if expires is not None:
            if not self._timed:
                from .deadlines import Deadlines

                self._timed = Deadlines(self, sleep_ms)
            fate = await self._timed.write(data, wait, expires)
            if fate:
                raise LinkError(fate)
            return True
        lock = self._lock
        await lock.acquire()
        try:
            while not self._put(data, 1):
                await self._wait(data)
            number = self._core.tx_next - 1
            if wait:
                await self._sent(number, data)
        finally:
            lock.release()
        if not wait:
            await self._sent(number, data)
        return True

    def put(self, line):
        """Returns True if there was room for the message. Then it arrives, unless the device is reset before."""
        return self._put(self._bytes(line), 1)

    def ms(self):
        """The device's milliseconds, 32 bits, as in its hellos."""
        return (self._now() | self._rounds << 30) & _M32

    def close(self):
        """Ends the link. Waiting tasks get LinkError CLOSED. A watchdog cannot be stopped, and is not fed any more."""
        if not self._closed:
            self._closed = True
            self._up = False
            self._task.cancel()
            self._release()
            self._tell()

    def _bytes(self, line):
        data = line.encode()
        if data[-1:] == b"\n":
            data = data[:-1]
        if not 0 < len(data) <= self._core.line or data[0] < 3 or b"\n" in data:
            raise ValueError("BAD_TEXT")
        return data

    def _put(self, data, qos):
        accepted = not self._closed and self._core.write(data, qos)
        if accepted:
            self._pump()
        return accepted

    # Waiting.

    def _tell(self):
        self._changed.set()
        self._changed.clear()

    async def _wait(self, data=b""):
        """Waits until something has changed. `data` is a message that waits to be sent."""
        if self._closed:
            raise LinkError("CLOSED")
        if len(data) > self._core.peer_line:
            raise LinkError("BAD_TEXT")
        await self._changed.wait()

    async def _sent(self, number, data):
        while not number - self._core.tx_first & 0x80000000:
            await self._wait(data)

    def _done(self):
        """The application has processed its message."""
        if self._held is not None:
            core = self._core
            if self._memory:
                self._memory.done(core, not self._kept)
            if not self._kept:
                core.take()
            self._held = None

    # The machine.

    async def _run(self):
        core = self._core
        while True:
            self._pump()
            wait = _SOON if core.tx_next != core.tx_first or core.state == _GREETING else _PAUSE
            await sleep_ms(min(wait, core.wait))

    def _now(self):
        now = ticks_ms() & 0x3FFFFFFF
        if now < self._last:
            self._rounds += 1
        self._last = now
        return now

    def _pump(self):
        """Does everything that can be done now."""
        if self._closed:
            return
        core = self._core
        now = self._now()
        if self._wdog:
            self._wdog.feed()
        if self._wifi and not core.state and not self._wifi.up(now):
            if self._timed:
                self._timed.look(now)
            core.wait = 100
            return
        first = core.tx_first
        # Reads first: what arrived while the program was busy must count before timeouts do.
        self._input(now)
        event = _CONNECT
        while not self._closed and (event or self._input(now)):
            if self._timed:
                self._timed.look(now)
            rest = self._rest
            if rest:
                try:
                    n = self._sock.write(rest)
                except OSError:
                    n = 0  # reading fails, too, after what had arrived, which may say why
                if n:
                    self._rest = rest[n:] if n < len(rest) else None
            event = core.poll(now, (1 if self._sock and not self._poller and not self._rest else 0) | (2 if self._wants else 0))
            if core.state == _UP and not self._up:
                self.connects = core.connects
                if self._wifi:
                    self._wifi.linked()
                self._linked(True)
            if event == _SEND:
                self._rest = core.data
            elif event == _MESSAGE:
                self._offer(now)
            elif event == _CONNECT:
                self._connect(now)
            elif event == _CLOSE:
                self._drop()
        if first != core.tx_first:
            self._tell()

    def _offer(self, now):
        core = self._core
        data = core.data
        if data[0] == 2 and self._name:  # dialect 2: meant for the firmware
            core.take()
            return
        try:
            self._got = data.decode()
        except UnicodeError:
            self._lost(now, _BAD_UTF8)
            return
        self._held = data
        self._wants = self._kept = False
        self._tell()

    # The connection.

    def _connect(self, now):
        try:
            host = self._host
            if not host[1]:
                host[1] = socket.getaddrinfo(host[0], self._port, 0, socket.SOCK_STREAM)[0]
                if diff(self._now(), now) > _PAUSE:
                    # The lookup was slow, which must not shorten the attempt: the next one begins with the address.
                    self._core.closed(self._last)
                    return
            info = host[1]
            self._sock = sock = socket.socket(*info[:3])
            self._poller = select.poll()
            self._poller.register(sock, _POLLOUT)
            sock.setblocking(False)
            sock.connect(info[4])
        except OSError as error:
            if error.errno != EINPROGRESS:
                self._lost(now)

    def _look(self, now):
        """Checks whether the connection is established."""
        for _, event in self._poller.poll(0):
            self._poller = None
            if event & ~_POLLOUT:
                raise OSError
            sock = self._sock
            try:
                sock.setsockopt(6, 1, 1)  # TCP_NODELAY
            except (OSError, AttributeError, ValueError):
                pass  # this port does not have it
            if self._wrap:
                self._sock = self._wrap(sock)
            if self._name:
                self._core.name = (self._name + "%010d" % self.ms()).encode()
            self._core.opened(now, urandom(16))

    def _input(self, now):
        """Reads what has arrived. Returns whether anything has."""
        core = self._core
        try:
            if self._poller:
                self._look(now)
            n = min(core.space(), len(self._buf))
            if not self._sock or self._poller or n <= 0:
                return False
            n = self._sock.readinto(self._buf, n)
        except OSError:
            n = 0
        if n:
            core.received(self._buf, n, now)
            if self._led:
                self._led()
        elif n is None:
            return False
        else:
            self._lost(now)
        return True

    def _lost(self, now, reason=_LOST):
        self._core.closed(now, reason)
        self._drop()

    def _drop(self):
        """Drops the connection. The core already knows."""
        core = self._core
        if self._verbose:
            self._verbose(core)
        self._release()
        if self._held is not None and not self._kept:
            # The next hello tells the server that the message has arrived. After a reset, the memory has it.
            self._kept = True
            core.skip()
            if self._memory:
                self._memory.lost(core, self._held)
        up = self._up
        if up:
            self._linked(False)
        if not core.failures & 7:
            self._host[1] = None  # looks the name up again now and then
        if self._servers:
            self._servers.next(self, up)

    def _release(self):
        if self._sock:
            self._sock.close()
        self._sock = self._poller = self._rest = None

    def _linked(self, up):
        self._up = up
        self._tell()
        if self._conn_cb:
            self._conn_cb(up)
