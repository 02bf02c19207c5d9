"""A typical device application for micropython-iot's client: `migration_test.ts` changes two lines of it, and runs it.
Arguments: the folder of the package, the server's port, the key in hex."""
import asyncio
import json
import sys
from binascii import unhexlify

sys.path.insert(0, sys.argv[1])
from iot import client

PORT = int(sys.argv[2])
KEY = unhexlify(sys.argv[3])


class App:
    def __init__(self):
        self.cl = client.Client("1", "127.0.0.1", PORT, "ssid", "password", 500, conn_cb=self.constate, verbose=False)

    def constate(self, state):
        print("Connection state:", state)

    async def start(self):
        print("Awaiting connection.")
        await self.cl
        self.task = asyncio.create_task(self.writer())
        await self.reader()

    async def reader(self):
        while True:
            line = await self.cl.readline()
            data = json.loads(line)
            print("Got", data)
            if data == "end":
                return

    async def writer(self):
        count = 0
        while True:
            await self.cl.write(json.dumps([count, self.cl.connects]))
            count += 1
            await asyncio.sleep(0.01)

    def shutdown(self):
        self.task.cancel()
        self.cl.close()


async def main():
    app = App()
    try:
        await app.start()
    finally:
        app.shutdown()


asyncio.run(main())
