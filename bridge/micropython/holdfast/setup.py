"""The constructor of `Client`: checks the arguments, which `Client` explains, and creates the client's parts.

A module of its own, whose memory is freed: it is needed only once."""
import asyncio
from os import urandom
from sys import implementation, modules, platform


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
    # Not needed again: frees the memory.
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
    # The current address: a name, and getaddrinfo's answer for it.
    if isinstance(server, str):
        client._host = [server, None]
    else:
        from .servers import Servers

        client._servers = Servers(client, server)
    client._port = port
    if implementation.name == "cpython":
        from .cpython import complete

        complete(client)
    if conn_cb or led or wdog or tls or verbose:
        from .hooks import attach

        attach(client, conn_cb, conn_cb_args, led, wdog, tls, verbose)
    client._buf = bytearray(128)
    client._changed = asyncio.Event()
    client._lock = asyncio.Lock()
    position = (0, 0)
    if memory:
        from .memory import attach

        position = attach(client, memory)
    if dialect == 1:
        from .dialect1 import Core1 as Core
    else:
        if suite == 3:
            from .sealed import Sealed as Core
        else:
            from .core import Core
        client._name = my_id + "\t" + (metadata + " " if metadata else "") + "ms="
    seed = int.from_bytes(urandom(4), "big")
    epoch = int.from_bytes(urandom(4), "big") or 1
    client._core = Core(name, client._now(), timeout, line, inbox, outbox, window, key, seed, epoch, position)
    if ssid or platform == "esp8266":  # other ports do not remember a network: without ssid, WiFi is the application's
        from .wifi import attach

        attach(client, ssid, pw, wifi_cb)
    client._task = asyncio.create_task(client._run())
