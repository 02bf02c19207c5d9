# MIT licence.
"""The reference's server with an application that takes all lines of all clients.

    python3 reference_server.py CHECKOUT TIMEOUT CLIENTS

The clients' ids are 0 to CLIENTS - 1. Prints {"port": PORT} among whatever else is printed, and ends
with its input.
"""

import asyncio
import json
import os
import socket
import sys
import threading


class Socket(socket.socket):
    """Tells which port it got: the reference listens, but keeps its socket to itself."""

    def listen(self, backlog):
        super().listen(backlog)
        print(json.dumps({"port": self.getsockname()[1]}), flush=True)


socket.socket = Socket
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True

from iot import server  # noqa: E402  It is to find the class above.


async def take_all(client):
    connection = await server.client_conn(client)
    while True:
        await connection.readline()


async def main(timeout, clients):
    ids = {str(number) for number in range(clients)}
    await asyncio.gather(server.run(ids, True, 0, timeout), *map(take_all, ids))


def end_with_input():
    while sys.stdin.read(4096):
        pass
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
asyncio.run(main(int(sys.argv[2]), int(sys.argv[3])))
