"""A link to a server that outlives outages: `Client`. It drives a core (core.py) with a socket that does not block and with the
clock; WiFi, where `network` is there, is wifi.py's.

Long because each module that is imported costs a board RAM."""
import asyncio
import select
import socket
from errno import EINPROGRESS
from os import urandom
from sys import platform

from .core import CLOSE, CONNECT, MESSAGE, SEND, UP, Core, const, diff

_wrap = None
try:
    from time import ticks_ms

    sleep_ms = asyncio.sleep_ms
except (ImportError, AttributeError):
    from .cpython import Stream as _wrap
    from .cpython import sleep_ms, ticks_ms

_M32 = const(0xFFFFFFFF)
# ms between two looks at the socket: while something is expected, and otherwise.
_SOON = const(5)
_IDLE = const(20)


class LinkError(Exception):
    """args[0] says what has become of a message: EXPIRED (the server never sees it), UNDECIDED, BAD_TEXT (the server takes no
    text that long), or CLOSED."""


class Client:
    """Connects by itself, and again after every outage. Made in a coroutine, like micropython-iot's.

    server    address of the server, or a list of them
    ssid, pw  the WiFi network; without ssid, the network is the application's affair (an ESP8266 remembers its own)
    timeout   ms; the server's must be the same
    conn_cb   function or coroutine, called with True when the link is up and with False when it is lost, and with conn_cb_args
    wifi_cb   likewise, of WiFi, without arguments of its own
    wdog      True: a watchdog of the longest time that the port has; or something with feed()
    key       32 bytes that the server knows, too. Dialect 2
    dialect   1 for micropython-iot's servers
    memory    keeps how far the client has got through resets: see memory.py. Dialect 2
    metadata  what the hello says about the device, in pairs: "board=d1 place=kitchen"
    tls       an ssl.SSLContext
    line      longest text in bytes; inbox, outbox: bytes; window: most messages that wait for their ack, 1 to 64
    """

    def __init__(
        self,
        my_id,
        server,
        port=8123,
        ssid="",
        pw="",
        timeout=2000,
        conn_cb=None,
        conn_cb_args=None,
        verbose=False,
        led=None,
        wdog=False,
        *,
        key=None,
        dialect=2,
        memory=None,
        metadata="",
        wifi_cb=None,
        tls=None,
        line=256,
        inbox=1024,
        outbox=1024,
        window=8
    ):
        name = my_id.encode()
        if not 0 < len(name) <= 64 or min(name) < 32 or b"\x7f" in name:
            raise ValueError("my_id")
        if key is not None and len(key) != 32 or dialect == 1 and (key or memory):
            raise ValueError("key or memory")
        if len(metadata) > 114:
            raise ValueError("metadata")
        if line < 121 or inbox < 2 * line + 6 or outbox < line + 7 or not 0 < window <= 64:
            raise ValueError("line, inbox, outbox or window")
        self._servers = (server,) if isinstance(server, str) else server
        self._at = 0  # which of them
        self._addrs = [None] * len(self._servers)
        self._failures = 0
        self._away = 0  # servers that have sent this device away since a link last stayed for the timeout
        self._port = port
        self._timeout = timeout
        self._conn_cb = conn_cb
        self._conn_cb_args = conn_cb_args or ()
        self._wifi_cb = wifi_cb
        self._verbose = verbose
        self._led = led
        if wdog is True:
            from machine import WDT

            wdog = WDT() if platform == "esp8266" else WDT(timeout=8000)  # a Pico's has 8.3 s at most
        self._wdog = wdog
        self._tls = tls
        self._memory = memory
        # What the hello ends in, before the ms.
        self._name = my_id + "\t" + (metadata + " " if metadata else "") + "ms=" if dialect == 2 else None
        self._rounds = self._last = 0
        self._sock = self._raw = self._poller = None
        self._rest = None  # bytes still to be sent
        self._buf = bytearray(256)
        self._up = False
        self._since = 0  # when it came up
        self._wants = False  # somebody waits for a message
        self._got = None  # the message for them
        self._held = None  # what the application has, and is not done with
        self._kept = False  # it counts as taken: the connection that brought it is gone
        self._left = None  # what an earlier run has left so
        self._fault = None
        self._timed = []  # messages with a deadline: number, deadline, what has become of it
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()
        self._closed = False
        position = (0, 0)
        if memory:
            from .memory import load, save

            self._keep = save
            position, self._left = load(memory)
        make = Core
        if dialect == 1:
            from .dialect1 import Core1 as make
        word = int.from_bytes(urandom(8), "big")
        args = (line, inbox, outbox, window, key, word & _M32, word >> 32 or 1, position)
        self._core = make(name, self._now(), timeout, *args)
        self._wifi = None
        self._air = False
        if ssid or platform == "esp8266":  # others do not remember their network: without one, it is not for us
            try:
                from .wifi import WiFi

                self._wifi = WiFi(ssid, pw)
            except ImportError:
                pass  # a PC
        self._task = asyncio.create_task(self._run())

    # For the application.

    def status(self):
        """Whether the link is up."""
        return self._up

    __call__ = status

    @property
    def connects(self):
        """How often the link came up."""
        return self._core.connects

    async def ready(self):
        """Waits until the link is up; so does `await client`."""
        while not self._up:
            await self._wait()

    def __iter__(self):  # what MicroPython's await uses
        return self.ready()

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.readline()
        except LinkError:
            raise StopAsyncIteration  # it was closed

    async def readline(self):
        """The next message, without a newline. To ask for it says that the one before has been processed: only then that is
        acknowledged. Raises what the memory raises if it cannot keep that: it is not acknowledged then, and can be asked again.
        """
        if self._got is None:
            self._done()
            if self._left:
                self._got = self._held = self._left
                self._kept = True
                self._left = None
            else:
                self._wants = True
                self._pump()
        while self._got is None:
            await self._wait()
        text = self._got
        self._got = None
        return text.decode()

    async def write(self, line, qos=True, wait=True, expires=None):
        """Sends a message, and returns True when the server has it. Through an outage it waits.

        Without qos it returns at once: True if it was handed to the network, False if there is no link or no room. With wait, the
        default, no other message is sent before the ack has come; otherwise several calls may be under way, and their order is
        kept all the same. expires is in ms, at most 2**29: the message is at the server, or LinkError says that it has EXPIRED.
        A call that is cancelled does not take back what was sent."""
        data = self._bytes(line)
        if not qos:
            return self._put(data, 0)
        deadline = None
        if expires is not None:
            if not 0 <= expires <= 0x1FFFFFFF:
                raise ValueError("expires")
            deadline = self._now() + expires
            while self._lock.locked():  # others wait for their ack
                if diff(deadline, self._now()) <= 0:
                    raise LinkError("EXPIRED")
                await sleep_ms(_IDLE)
        async with self._lock:
            while True:
                if deadline is not None and diff(deadline, self._now()) <= 0:
                    raise LinkError("EXPIRED")
                if self._put(data, 1):
                    break
                if len(data) > self._core.peer_line:
                    raise LinkError("BAD_TEXT")
                if self._closed or deadline is None:
                    await self._wait()
                else:
                    await sleep_ms(_IDLE)
            number = self._core.tx_next - 1 & _M32
            timed = None
            if deadline is not None:
                timed = [number, deadline, None]
                self._timed.append(timed)
            if wait:
                await self._sent(number, timed, data)
        if not wait:
            await self._sent(number, timed, data)
        return True

    def put(self, line):
        """Accepts a message, if there is room now. Then it arrives, unless the device is reset before."""
        return self._put(self._bytes(line), 1)

    def ms(self):
        """The device's milliseconds, 32 bits, as its hellos say them."""
        self._now()
        return (self._rounds << 30 | self._last) & _M32

    def close(self):
        """Ends the link. Tasks that wait get LinkError CLOSED. A watchdog cannot be stopped: it is not fed any more."""
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

    async def _wait(self):
        if not self._closed:
            await self._changed.wait()
        if self._closed:
            raise LinkError("CLOSED")

    async def _sent(self, number, timed, data):
        while number - self._core.tx_first & 0x80000000 == 0:
            if timed and timed[2]:
                break
            if len(data) > self._core.peer_line:
                raise LinkError("BAD_TEXT")
            await self._wait()
        if timed and timed[2]:
            raise LinkError("EXPIRED" if timed[2] == 1 else "UNDECIDED")

    # What is kept.

    def _save(self, ahead, text=b""):
        if self._memory:
            core = self._core
            self._keep(self._memory, core.rx_epoch, core.rx_next + ahead & _M32, text)

    def _done(self):
        """The application is done with what it has."""
        if self._fault:
            fault = self._fault
            self._fault = None
            raise fault
        if self._held is not None:
            if self._kept:
                self._save(0)
            else:
                self._save(1)
                self._core.take()
            self._held = None

    # The machine.

    async def _run(self):
        while True:
            self._pump()
            core = self._core
            wait = _SOON if core.tx_next != core.tx_first or core.state == 2 else _IDLE
            await sleep_ms(min(wait, max(core.wait, 0)))

    def _now(self):
        now = ticks_ms() & 0x3FFFFFFF
        if now < self._last:
            self._rounds += 1
        self._last = now
        return now

    def _pump(self):
        """Does all that can be done now."""
        if self._closed:
            return
        core = self._core
        now = self._now()
        if self._wdog:
            self._wdog.feed()
        if self._wifi and not core.state:
            air = self._wifi.up(now)
            if air != self._air:
                self._air = air
                self._call(self._wifi_cb, air)
            if not air:
                if self._timed:
                    self._expire(now)
                core.wait = 100
                return
        first = core.tx_first
        # What has come while the program was busy counts before the time that has passed.
        if self._poller:
            self._look(now)
        self._input(now)
        while not self._closed:
            if self._timed:
                self._expire(now)
            if self._rest:
                self._flush(now)
            event = core.poll(now, (1 if self._sock and not self._rest else 0) | (2 if self._wants else 0))
            if core.state == UP and not self._up:
                self._up = True
                self._failures = 0
                self._since = now
                if self._wifi:
                    self._wifi.linked()
                self._linked(True)
            if event == SEND:
                self._rest = core.data
            elif event == MESSAGE:
                self._offer(core)
            elif event == CONNECT:
                self._connect(now)
            elif event == CLOSE:
                self._drop(core.reason)
            elif not self._input(now):
                break
        if first != core.tx_first:
            self._tell()

    def _offer(self, core):
        data = core.data
        if data[0] == 2 and self._name:  # dialect 2: said to a firmware
            core.take()
            return
        try:
            data.decode()
        except UnicodeError:
            core.closed(self._last)
            self._drop("BAD_UTF8")
            return
        self._wants = self._kept = False
        self._got = self._held = data
        self._tell()

    def _expire(self, now):
        core = self._core
        for timed in list(self._timed):
            if timed[0] - core.tx_first & 0x80000000:
                self._timed.remove(timed)
            elif diff(timed[1], now) <= 0:
                timed[2] = core.expire(timed[0])
                late = diff(now, timed[1])
                if timed[2]:
                    self._timed.remove(timed)
                    self._tell()
                elif self._up and min(late, diff(now, self._since)) >= self._timeout:
                    core.closed(now)
                    self._drop("LATE")  # the next greeting decides

    # The connection.

    def _connect(self, now):
        try:
            info = self._addrs[self._at]
            if info is None:
                info = socket.getaddrinfo(self._servers[self._at], self._port, 0, socket.SOCK_STREAM)[0]
                self._addrs[self._at] = info
                if diff(self._now(), now) > _IDLE:
                    # A lookup takes its own time, and none of the attempt's: the next one has the address.
                    self._core.closed(self._last)
                    return
            family, kind, proto, _, addr = info
            self._raw = sock = socket.socket(family, kind, proto)
            self._poller = select.poll()
            self._poller.register(sock, select.POLLOUT)
            sock.setblocking(False)
            try:
                sock.connect(addr)
            except OSError as error:
                if error.args[0] != EINPROGRESS:
                    raise
        except OSError:
            self._lost(now)

    def _look(self, now):
        """Whether the connection is there."""
        for _, event in self._poller.poll(0):
            self._poller = None
            if event & ~select.POLLOUT:
                self._lost(now)
                return
            sock = self._raw
            try:
                sock.setsockopt(6, 1, 1)  # TCP_NODELAY
            except (OSError, AttributeError, ValueError):
                pass  # not on this port
            try:
                if self._tls:
                    sock = self._tls.wrap_socket(
                        sock, server_hostname=self._servers[self._at], do_handshake_on_connect=False
                    )
                self._sock = _wrap(sock) if _wrap else sock
            except OSError:
                self._lost(now)
                return
            core = self._core
            if self._name:
                core.name = (self._name + "%010d" % self.ms()).encode()
            core.opened(now, urandom(16))

    def _input(self, now):
        core = self._core
        n = min(core.space(), len(self._buf))
        if not self._sock or n <= 0 or core.state < 2:
            return False
        try:
            n = self._sock.readinto(self._buf, n)
        except OSError:
            n = 0
        if n is None:
            return False
        if n:
            core.received(self._buf, n, now)
            led = self._led
            if led:
                led.toggle() if hasattr(led, "toggle") else led(not led())
        else:
            self._lost(now)
        return True

    def _flush(self, now):
        try:
            n = self._sock.write(self._rest)
        except OSError:
            self._lost(now)
            return
        if n:
            self._rest = self._rest[n:] if n < len(self._rest) else None

    def _lost(self, now):
        self._core.closed(now)
        self._drop("LOST")

    def _drop(self, reason):
        """The core knows already that the connection is gone."""
        if self._verbose:
            print("holdfast:", reason, self._core.refusal if reason == "REFUSED" else "")
        self._release()
        if self._held is not None and not self._kept:
            # The server learns from the next hello that it has arrived. A run after this one finds it in the memory.
            self._kept = True
            self._core.skip()
            try:
                self._save(0, self._held)
            except Exception as error:
                self._fault = error
        up = self._up
        if up:
            self._up = False
            self._linked(False)
            if diff(self._last, self._since) >= self._timeout:
                self._away = 0
        away = reason == "REFUSED" and self._core.refusal == 7  # the server is about to stop
        if away:
            # If all of them send it away, one after the other, it waits as after any refusal.
            self._away += 1
            if self._away < len(self._servers):
                self._core.hurry(self._last)
        if away or not up:
            # A link that was lost is first sought where it was; its name is looked up again now and then.
            self._failures += 1
            if self._failures % 8 == 0:
                self._addrs[self._at] = None
            self._at = (self._at + 1) % len(self._servers)

    def _release(self):
        for sock in (self._sock, self._raw):
            if sock:
                sock.close()
        self._sock = self._raw = self._poller = self._rest = None

    def _linked(self, up):
        self._tell()
        self._call(self._conn_cb, up, *self._conn_cb_args)

    def _call(self, callback, *args):
        if callback:
            asyncio.create_task(_run(callback, args))


async def _run(callback, args):
    result = callback(*args)
    if hasattr(result, "send"):  # a coroutine
        await result




if _wrap:
    Client.__await__ = lambda self: self.ready().__await__()
