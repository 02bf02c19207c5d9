"""How much heap of a MicroPython a client needs once imported, and once connected, after a garbage collection: ours, and others
for comparison. For a unix MicroPython, with its network; WLAN and the other modules of a board are simulated.

    micropython footprint.py CLIENT PORT [FOLDER_OR_ROMFS...]

    micropython footprint.py record 0 FOLDER    the cost of sealing one record, with each cipher

CLIENT is holdfast, mqtt_as, iot (micropython-iot's), or ours with an option: servers, conn_cb, verbose, memory,
sealed, deadlines, channels. Its server listens at 127.0.0.1: ours with the key below for the device 1, mosquitto, or the stock one. The package is in one of
the folders or ROMFS images, or is frozen into MicroPython."""
import asyncio
import binascii
import errno
import gc
import hashlib
import os
import select
import socket
import struct
import sys
import time

KEY = binascii.unhexlify("00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f")


class WLAN:
    def __init__(self, interface):
        pass

    def active(self, on=None):
        return True

    def isconnected(self):
        return True

    def connect(self, *credentials):
        pass

    disconnect = connect

    def config(self, **settings):
        pass

    def status(self):
        return 3


class Network:
    STA_IF = 0
    AP_IF = 1
    STAT_IDLE = 0
    STAT_CONNECTING = 1
    WLAN = WLAN


class Machine:
    @staticmethod
    def unique_id():
        return b"1234"


def prepare(folders):
    """Imports what any application has imported."""
    asyncio.Event, asyncio.Lock, asyncio.StreamReader, hashlib.sha256, os.urandom, select.poll, struct.pack
    sys.modules["machine"] = Machine
    # Not for ours: without this module it works without WiFi, as on a PC.
    if sys.argv[1] in ("mqtt_as", "iot"):
        sys.modules["network"] = Network
    # Names that micropython-iot's client uses.
    for name, module in (("uasyncio", asyncio), ("usocket", socket), ("utime", time), ("uerrno", errno)):
        sys.modules[name] = module
    for folder in folders:
        if folder.endswith(".romfs"):
            import vfs

            with open(folder, "rb") as file:
                vfs.mount(vfs.VfsRom(file.read()), "/rom")
            folder = "/rom/lib"
        sys.path.insert(0, folder)


def load(name):
    if name == "mqtt_as":
        import mqtt_as as module
    elif name == "iot":
        from iot import client as module
    else:
        from holdfast import client as module
    return module


async def connect(name, module, port):
    if name == "mqtt_as":
        module.config.update({"server": "127.0.0.1", "port": port, "ssid": "net", "wifi_pw": "", "queue_len": 1})
        client = module.MQTTClient(module.config)
        await client.connect(quick=True)
    elif name == "iot":
        client = module.Client("1", "127.0.0.1", port, "net", "")
        await client
    else:
        client = await ours(name, module, port)
    await asyncio.sleep(1)
    return client


async def ours(name, module, port):
    server, options = "127.0.0.1", {}
    if name == "servers":
        server = ["127.0.0.1", "127.0.0.2"]
    elif name == "conn_cb":
        options["conn_cb"] = connected
    elif name == "verbose":
        options["verbose"] = True
    elif name == "memory":
        options["memory"] = Memory()
    elif name == "sealed":
        options["suite"] = 3
    client = module.Client("1", server, port, key=KEY, **options)
    if name == "channels":
        from holdfast.channels import Channels

        client.channels = Channels(client, "kitchen", "3", {})
    await client
    if name == "deadlines":
        await client.write("in time", expires=5000)
    return client


def connected(up):
    pass


class Memory:
    def load(self):
        return b""

    def save(self, data):
        pass


def record():
    """For a message of 32 bytes: the shortest time, and bytes of heap."""
    from holdfast import cipher, cipher_native

    for module in (cipher_native, cipher):
        it = module.Cipher(KEY)
        buf = bytearray(2 + 35 + 16)
        nonce = bytes(12)
        times = []
        for _ in range(50):
            gc.collect()
            before = gc.mem_alloc()
            start = time.ticks_us()
            it.begin(nonce)
            it.crypt(buf, 2, 35)
            it.tag(buf, 2, 35)
            times.append(time.ticks_diff(time.ticks_us(), start))
            allocated = gc.mem_alloc() - before
        print("%s: %d us, %d bytes" % (module.__name__, min(times), allocated))


async def main(name, port, *folders):
    prepare(folders)
    if name == "record":
        return record()
    gc.collect()
    before = gc.mem_alloc()
    module = load(name)
    gc.collect()
    imported = gc.mem_alloc() - before
    client = await connect(name, module, int(port))
    gc.collect()
    print("%s: %d imported, %d connected" % (name, imported, gc.mem_alloc() - before))
    if not (client.isconnected() if name == "mqtt_as" else client.status()):
        raise ValueError("it is not connected")


asyncio.run(main(*sys.argv[1:]))
