# MIT licence.
"""A resilient link to a server for a board without a network, through an ESP8266 with Holdfast's firmware.

    import asyncio
    from holdfast_link import AppBase
    from machine import Pin
    from pyb import I2C

    class App(AppBase):
        def start(self):  # runs once, when the ESP8266 has the configuration
            asyncio.create_task(self.talk())

        async def talk(self):
            while True:
                await self.write("21.5")  # returns when the ESP8266 has it, and will deliver it
                print(await self.readline())

    hardware = [I2C(1, mode=I2C.SLAVE), Pin("X11"), Pin("Y8"), (Pin("X12"), 0, 200)]
    config = [8123, "192.168.1.10", 2000, 10, "ssid", "password"]

    async def main():
        await App("kitchen", config, hardware).await_msg()

    asyncio.run(main())

The interface is that of AppBase in micropython-iot's pb_link; ../../README.md lists the improvements. Runs in
MicroPython 1.21 or later, and in CPython, which the tests use.
"""

import asyncio
import json
import os

try:
    from time import ticks_diff, ticks_ms
except ImportError:  # CPython
    from time import monotonic

    def ticks_ms():
        return int(monotonic() * 1000)

    def ticks_diff(a, b):
        return a - b


_BUFFER = 200  # bytes that each side can receive at once
_MOST_TEXT = 194  # bytes: with prefix and newline it fits the buffer
_HOLD = 0x80
_POLL = 0.02  # s between exchanges
_WIRE = 1000  # most ms to wait for the other board's wire
_SILENCE = 6000  # ms without a keepalive, which comes every 2,000
_MOST_LINES = 4  # to be sent
_MOST_MESSAGES = 8  # received and not read yet
_SEQUENCES = 64
_RESYNCHRONISE = 1.2  # s: the other board gives up an exchange after 1


class Broken(Exception):
    """The ESP8266 does not answer as it should. Never leaves this module."""


class AppBase:
    def __init__(self, conn_id, config, hardware, verbose=False):
        """conn_id is this board's name at the server: 1 to 64 bytes.

        config is [port, server, timeout in ms, s between reports or 0, ssid, password]; with an ssid of ""
        the ESP8266 uses the network that it has stored. An optional seventh element is the dialect.
        hardware is [I2C slave, syn pin, ack pin, reset], where reset is (pin, level, ms) or None.
        """
        if len(config) not in (6, 7):
            raise ValueError("config must have 6 elements, or 7 with the dialect")
        session = int.from_bytes(os.urandom(3), "big") + 1
        whole = [conn_id] + list(config[:6]) + [config[6] if len(config) > 6 else 0, session, "cfg"]
        self._config = (json.dumps(whole) + "\n").encode()
        if len(self._config) > _BUFFER:
            raise ValueError("config and conn_id must have at most %d bytes together" % _BUFFER)
        self.verbose = verbose
        self.failures = 0  # exchanges that failed
        self._i2c, self._syn, self._ack, self._rst = hardware
        self._lines = []  # those that the ESP8266 has not confirmed
        self._gone = 0  # how many it has confirmed
        self._sequence = 0
        self._messages = []
        self._tag = ""
        self._may_write = True
        self._configured = False
        self._started = False
        self._up = False
        self._closed = False
        self._must_reset = True
        self._heard = ticks_ms()
        self._changed = asyncio.Event()
        self._size = bytearray(2)
        self._task = asyncio.create_task(self._run())

    # ---- For the application ----

    async def await_msg(self):
        """Runs until the link is closed, or raises an error of `start` or of the link itself."""
        await self._task

    async def readline(self):
        """The next message from the server, with a newline at its end."""
        while not self._messages:
            await self._change()
        message = self._messages.pop(0)
        return message + "\n"

    async def write(self, line, qos=True, wait=True):
        """Sends a line. Returns when the ESP8266 has it; without wait, as soon as there is room for it here.

        With qos it is then delivered once, whatever fails except the ESP8266's power. Without, it may be lost.
        """
        text = line[:-1] if line.endswith("\n") else line
        data = text.encode()
        if not data or b"\n" in data or data[0] < 2:
            raise ValueError("a line must not be empty, contain a newline, or start with a byte of 0 or 1")
        if len(data) > _MOST_TEXT:
            raise ValueError("a line must have at most %d bytes, not %d" % (_MOST_TEXT, len(data)))
        while len(self._lines) >= _MOST_LINES:
            await self._change()
        # The number lets it count once however often it is sent.
        head = bytes((0x34 + (2 if qos else 0) + (1 if wait else 0), 0x30 + self._sequence))
        self._sequence = (self._sequence + 1) % _SEQUENCES
        self._lines.append(head + data + b"\n")
        place = self._gone + len(self._lines)
        while wait and self._gone < place:
            await self._change()

    async def reboot(self):
        """Resets the ESP8266 by its reset wire; without one, synchronises with it again."""
        self._must_reset = True
        await asyncio.sleep(0)

    def close(self):
        """Ends the link."""
        self._closed = True
        self._task.cancel()
        self._syn(1)

    def status(self):
        """Whether the ESP8266 has a link to the server."""
        return self._up

    # ---- For subclasses ----

    def start(self):
        raise NotImplementedError("a subclass of AppBase must have a start()")

    async def bad_wifi(self):
        print("No WiFi yet.")

    async def bad_server(self):
        print("No server yet.")

    async def report(self, data):
        print("Connects %d, count %d, free memory %d" % tuple(data))

    async def server_ok(self, up):
        print("Server is %s" % ("up" if up else "down"))

    # ---- The link ----

    async def _change(self):
        self._changed.clear()
        await self._changed.wait()

    async def _run(self):
        while not self._closed:
            try:
                await self._synchronise()
                while not self._must_reset:
                    await self._exchange()
                    if self._configured and ticks_diff(ticks_ms(), self._heard) > _SILENCE:
                        raise Broken("no keepalive")
                    await asyncio.sleep(_POLL)
            except Broken as error:
                self.failures += 1
                if self.verbose:
                    print("ESP8266:", error)
                # Often it is enough to synchronise again; after a second failure in a row, resets it.
                self._must_reset = not self._configured

    async def _synchronise(self):
        if self._must_reset and self._rst is not None:
            pin, level, ms = self._rst
            pin.init(mode=pin.OUT, value=not level)
            self._syn.init(mode=self._syn.OUT, value=1)
            pin(level)
            await asyncio.sleep(ms / 1000)
            pin(not level)
        self._must_reset = self._configured = False
        self._ack.init(mode=self._ack.IN, pull=self._ack.PULL_UP)
        self._syn.init(mode=self._syn.OUT, value=0)
        await asyncio.sleep(_RESYNCHRONISE)
        since = ticks_ms()
        while self._ack():
            if ticks_diff(ticks_ms(), since) > 5 * _WIRE:
                raise Broken("does not start")
            await asyncio.sleep(_POLL)
        self._may_write = True
        self._heard = ticks_ms()

    async def _exchange(self):
        line = b""
        if not self._configured:
            line = self._config
        elif self._lines and self._may_write:
            line = self._lines[0]
        hold = _HOLD if len(self._messages) >= _MOST_MESSAGES else 0
        await self._send(bytes((len(line), hold)))
        if line:
            await self._send(line)
            if self._configured:
                self._lines.pop(0)
                self._gone += 1
            self._configured = True
        await self._receive(self._size)
        self._may_write = not self._size[1] & _HOLD
        length = self._size[0] + ((self._size[1] & ~_HOLD) << 8)
        if length > _BUFFER:
            raise Broken("%d bytes are too many" % length)
        if length:
            data = bytearray(length)
            await self._receive(data)
            for part in bytes(data).split(b"\n")[:-1]:
                self._take(part)
        self._changed.set()
        if self._configured and not self._started:
            self._started = True
            self.start()

    def _take(self, line):
        kind, rest = line[:1], line[1:]
        if kind == b"m":
            tag, text = rest[:4], rest[4:]
            if tag != self._tag:  # otherwise it came again, after a reset
                self._messages.append(text.decode())
            self._tag = tag
        elif kind == b"k":
            self._heard = ticks_ms()
        elif kind in (b"u", b"d"):
            self._up = kind == b"u"
            asyncio.create_task(self.server_ok(self._up))
        elif kind == b"b":
            asyncio.create_task(self.bad_wifi())
        elif kind == b"s":
            asyncio.create_task(self.bad_server())
        elif kind == b"r":
            asyncio.create_task(self.report(json.loads(rest)))
        else:
            raise Broken("unknown line %r" % line)

    async def _send(self, data):
        self._syn(1)
        try:
            self._i2c.send(data, timeout=_WIRE)
        except OSError:
            raise Broken("did not read")
        await self._wire(1)
        self._syn(0)
        self._look_for_low()

    async def _receive(self, data):
        await self._wire(1)
        self._syn(1)
        try:
            self._i2c.recv(data, timeout=_WIRE)
        except OSError:
            raise Broken("did not write")
        self._look_for_low()
        self._syn(0)

    async def _wire(self, level):
        """Waits for the other board's wire; other tasks run meanwhile."""
        since = ticks_ms()
        while self._ack() != level:
            if ticks_diff(ticks_ms(), since) > _WIRE:
                raise Broken("its wire does not move")
            await asyncio.sleep(0)

    def _look_for_low(self):
        """Waits for a low level, which may last for only 1 ms, without a pause. It comes within some ms."""
        since = ticks_ms()
        while self._ack():
            if ticks_diff(ticks_ms(), since) > _WIRE:
                raise Broken("its wire does not fall")
