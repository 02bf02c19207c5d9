# MIT licence.
"""An application on our package, driven over stdin and stdout: see pb_device.py.

    python3 link_device.py ID HOST PORT TIMEOUT [ELEMENT...]
"""

import _thread
import asyncio
import json
import sys

from holdfast_link import AppBase
from machine import Pin
from pyb import I2C


def say(**event):
    print(json.dumps(event))
    sys.stdout.flush()


class App(AppBase):
    def start(self):
        say(started=True)
        asyncio.create_task(self.receive())
        asyncio.create_task(self.send())

    async def receive(self):
        while True:
            say(heard=(await self.readline())[:-1])

    async def send(self):
        while True:
            while todo:
                command = todo.pop(0)
                await self.write(command["write"], command.get("qos", True), command.get("wait", True))
                say(wrote=command["write"])
                say(sent=command["write"])
            await asyncio.sleep(0.005)

    async def bad_wifi(self):
        say(trouble="wifi")

    async def bad_server(self):
        say(trouble="server")

    async def report(self, data):
        say(report=data)

    async def server_ok(self, up):
        say(linked=up)


todo = []


def read():
    for line in sys.stdin:
        todo.append(json.loads(line))


async def main(name, host, port, timeout, *more):
    hardware = [I2C(1, mode=I2C.SLAVE), Pin("X11"), Pin("Y8"), (Pin("X12"), 0, 50)]
    config = [int(port), host, int(timeout), 1, "", ""] + [json.loads(element) for element in more]
    app = App(name, config, hardware, True)
    _thread.start_new_thread(read, ())
    await app.await_msg()


asyncio.run(main(*sys.argv[1:]))
