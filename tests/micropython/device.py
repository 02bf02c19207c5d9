"""A device with the client of bridge/micropython, for tests: under CPython or MicroPython. Arguments: the folder of the package,
then settings as JSON: port, servers, key (hex), suite, id, dialect, timeout, memory (a file; "" for none), messages (how many it writes),
first (number of the first one), pause (ms between two), window, expires (ms; 0 for none), holds (a text after which it asks for
no more), ca (a file: TLS), and wifi (a file: WiFi is up while it exists). It writes "up N" and prints what arrives ("got TEXT"),
what is acknowledged ("sent N"), what has expired ("late N CODE") and the link's changes ("link True"). It ends when all that it
wrote is acknowledged or has expired, and "bye" has arrived."""
import asyncio
import json
import os
import sys
from binascii import unhexlify

sys.path.insert(0, sys.argv[1])
from holdfast import Client, LinkError
from holdfast.memory import File

options = json.loads(sys.argv[2])


class WLAN:
    """A board's WLAN: it has WiFi while a file exists."""

    PM_NONE = 0

    def __init__(self, interface=0):
        pass

    def active(self, on=None):
        return True

    def config(self, pm):
        pass

    def connect(self, *credentials):
        pass

    def disconnect(self):
        pass

    def isconnected(self):
        try:
            os.stat(options["wifi"])
            return True
        except OSError:
            return False


if "wifi" in options:

    class Network:
        STA_IF = 0
        AP_IF = 1
        WLAN = WLAN

    sys.modules["network"] = Network


async def read(client):
    async for line in client:
        print("got " + line)
        if line == options.get("holds"):
            await asyncio.sleep(1000)
        if line == "bye":
            return


async def write(client, number):
    expires = options.get("expires", 0)
    try:
        await client.write("up %d" % number, wait=False, expires=expires or None)
        print("sent %d" % number)
    except LinkError as error:
        print("late %d %s" % (number, error.args[0]))


def trusting(ca):
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    return context


async def main():
    key = options.get("key", "")
    client = Client(
        options.get("id", "1"),
        options.get("servers", "127.0.0.1"),
        options["port"],
        ssid="net" if "wifi" in options else "",
        timeout=options.get("timeout", 2000),
        conn_cb=lambda up: print("link %s" % up),
        wifi_cb=lambda up: print("wifi %s" % up),
        key=unhexlify(key) if key else None,
        suite=options.get("suite", 2),
        dialect=options.get("dialect", 2),
        memory=File(options["memory"]) if options.get("memory") else None,
        window=options.get("window", 8),
        tls=trusting(options["ca"]) if "ca" in options else None,
    )
    reading = asyncio.create_task(read(client))
    first = options.get("first", 0)
    under_way = []
    for number in range(first, first + options.get("messages", 0)):
        await asyncio.sleep(options.get("pause", 0) / 1000)
        under_way.append(asyncio.create_task(write(client, number)))
        if len(under_way) >= 16:
            await under_way.pop(0)
    for task in under_way:
        await task
    await reading
    client.close()
    print("end")


asyncio.run(main())
