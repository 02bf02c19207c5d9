# MIT licence.
"""An application on the unmodified pb_link, driven over stdin and stdout.

    micropython pb_device.py ID HOST PORT TIMEOUT [ELEMENT...]

The ELEMENTs follow the password in the configuration. It reads one JSON object a line and
ends with its input:
    {"write": TEXT, "qos": true, "wait": true}     in the order of the lines
and prints one a line, between other output:
    {"heard": TEXT}       a line for the application
    {"wrote": TEXT}       a write returned
    {"sent": TEXT}        the text went over the wires
    {"linked": BOOL}      the server's state changed
    {"trouble": TEXT}     bad_wifi or bad_server was called
    {"report": LIST}
"""

import json
import sys

import asyncio
from machine import Pin
from pb_link.app_base import AppBase
from pyb import I2C


def say(**event):
    print(json.dumps(event))


class App(AppBase):
    def start(self):
        asyncio.create_task(self.receive())
        asyncio.create_task(self.send())
        say(started=True)

    async def receive(self):
        while True:
            line = await self.readline()
            if not isinstance(line, str):
                line = line.decode()
            say(heard=line.rstrip("\n"))

    async def send(self):
        while True:
            while todo:
                command = todo.pop(0)
                await self.write(command["write"], command.get("qos", True), command.get("wait", True))
                say(wrote=command["write"])
            await asyncio.sleep_ms(5)

    async def bad_wifi(self):
        say(trouble="wifi")

    async def bad_server(self):
        say(trouble="server")

    async def report(self, data):
        say(report=data)

    async def server_ok(self, up):
        say(linked=up)


todo = []


def watch(channel):
    """Reports what went over the wires, which the package does not."""
    done = channel._txdone

    def txdone():
        data = channel.txbyt
        if data:
            text = data if isinstance(data, str) else bytes(data).decode()
            if text[0] in "0123":
                say(sent=text[1:].rstrip("\n"))
        done()

    channel._txdone = txdone


async def main(name, host, port, timeout, *more):
    hardware = [I2C(1, mode=I2C.SLAVE), Pin("X11"), Pin("Y8"), (Pin("X12"), 0, 200)]
    config = [int(port), host, int(timeout), 1, "", ""] + [json.loads(element) for element in more]
    app = App(name, config, hardware, True)
    watch(app.chan)
    asyncio.create_task(app.await_msg())
    commands = asyncio.StreamReader(sys.stdin)
    while True:
        line = await commands.readline()
        if not line:
            return
        todo.append(json.loads(line))


asyncio.run(main(*sys.argv[1:]))
