"""What a client calls if its application asks for it: callbacks, an LED, TLS."""
from asyncio import create_task


async def _run(callback, args):
    result = callback(*args)
    if hasattr(result, "send"):  # a coroutine
        await result


def told(callback, args=()):
    """A callback, to be told True or False, and these: in a task of its own, so that what it raises does not end the link."""

    def tell(up):
        create_task(_run(callback, (up,) + tuple(args)))

    return tell


def blinks(led):
    """Of a pin, or of something with toggle()."""
    return led.toggle if hasattr(led, "toggle") else lambda: led(not led())


def secures(client, tls):
    """Makes a socket one with TLS."""
    inner = client._wrap or (lambda sock: sock)

    def wrap(sock):
        name = client._hosts[0][0]
        return inner(tls.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False))

    return wrap
