"""What `Client(...)` does at its start: checks its arguments, and gives it what it consists of. See `Client` for what they mean.

In a module of its own, as it is needed once."""
import asyncio
from os import urandom
from sys import implementation, modules, platform

_M32 = 0xFFFFFFFF


def setup(
    client,
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
    suite=2,
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
    # It is not needed again: a board has its room back.
    del modules["holdfast.setup"], modules["holdfast"].setup
    name = my_id.encode()
    if not 0 < len(name) <= 64 or min(name) < 32 or b"\x7f" in name:
        raise ValueError("my_id")
    if key is not None and len(key) != 32 or dialect == 1 and (key or memory):
        raise ValueError("key or memory")
    if suite != 2 and (suite != 3 or not key or line > 1021):
        raise ValueError("suite")
    if len(metadata) > 114:
        raise ValueError("metadata")
    if line < 121 or inbox < 2 * line + (24 if suite == 3 else 6) or outbox < line + 7 or not 0 < window <= 64:
        raise ValueError("line, inbox, outbox or window")
    # Its addresses, the current one first: each a name, and what getaddrinfo says of it.
    client._hosts = [[host, None] for host in ((server,) if isinstance(server, str) else server)]
    client._port = port
    if verbose:
        from .errors import tell

        client._verbose = tell
    if wdog:
        if wdog is True:
            from machine import WDT

            wdog = WDT() if platform == "esp8266" else WDT(timeout=8000)  # a Pico's has 8.3 s at most
        client._wdog = wdog
    if conn_cb:
        from .hooks import told

        client._conn_cb = told(conn_cb, conn_cb_args or ())
    if led:
        from .hooks import blinks

        client._led = blinks(led)
    if implementation.name == "cpython":
        from .cpython import Stream, complete

        complete(client)
        client._wrap = Stream
    if tls:
        from .hooks import secures

        client._wrap = secures(client, tls)
    client._buf = bytearray(128)
    client._changed = asyncio.Event()
    client._lock = asyncio.Lock()
    position = (0, 0)
    if memory:
        from .memory import Position

        client._memory = Position(memory)
        position, left = client._memory.load()
        if left:  # by an earlier run: it begins with that
            client._got = left.decode()
            client._held = left
            client._kept = True
    if dialect == 1:
        from .dialect1 import Core1 as Core
    else:
        if suite == 3:
            from .sealed import Sealed as Core
        else:
            from .core import Core
        client._name = my_id + "\t" + (metadata + " " if metadata else "") + "ms="
    word = int.from_bytes(urandom(8), "big")
    client._core = Core(
        name, client._now(), timeout, line, inbox, outbox, window, key, word & _M32, word >> 32 or 1, position
    )
    if ssid or platform == "esp8266":  # others do not remember their network: without one, it is not for us
        try:
            from .wifi import WiFi
        except ImportError:
            pass  # a PC
        else:
            client._wifi = WiFi(ssid, pw, wifi_cb)
    client._task = asyncio.create_task(client._run())
