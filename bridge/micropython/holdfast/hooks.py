"""What a client calls if its application asks for it: callbacks, an LED, a watchdog, TLS, and messages about ended connections."""
from asyncio import create_task
from sys import platform


def attach(client, conn_cb, conn_cb_args, led, wdog, tls, verbose):
    if conn_cb:
        client._conn_cb = told(conn_cb, conn_cb_args or ())
    if led:
        client._led = led.toggle if hasattr(led, "toggle") else lambda: led(not led())
    if wdog:
        if wdog is True:
            from machine import WDT

            wdog = WDT() if platform == "esp8266" else WDT(timeout=8000)  # a Pico's has at most 8.3 s
        client._wdog = wdog
    if tls:
        client._wrap = _secures(client, tls)
    if verbose:
        from .errors import tell

        client._verbose = tell


async def _run(callback, args):
    result = callback(*args)
    if hasattr(result, "send"):  # a coroutine
        await result


def told(callback, args=()):
    """Wraps a callback: calls it with True or False and these args in a task of its own, so that an exception in it does not end
    the link."""

    def tell(up):
        create_task(_run(callback, (up,) + tuple(args)))

    return tell


def _secures(client, tls):
    """A function that wraps a socket in TLS."""
    inner = client._wrap or (lambda sock: sock)

    def wrap(sock):
        name = client._host[0]
        return inner(tls.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False))

    return wrap
