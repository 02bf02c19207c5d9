# MIT licence.
"""A server application on the reference's server, driven over stdin and stdout.

    python3 stock_server.py TIMEOUT ID

It serves the client ID, reads one JSON object a line and ends with its input:
    {"write": TEXT}                 after the writes before it
and prints one a line, among whatever else is printed:
    {"port": PORT}                  it listens; the system chose the port
    {"linked": true or false}       the connection's status has changed
    {"heard": TEXT}                 a line for the application
    {"acked": TEXT}                 a write has returned
"""

import asyncio
import json
import socket
import sys


def say(**event):
    print(json.dumps(event), flush=True)


class Socket(socket.socket):
    """Tells which port it got: the reference listens, but keeps its socket to itself."""

    def listen(self, backlog):
        super().listen(backlog)
        say(port=self.getsockname()[1])


socket.socket = Socket

from iot import server  # noqa: E402  It is to find the class above.


async def watch(connection):
    linked = False
    while True:
        if connection.status() != linked:
            linked = not linked
            say(linked=linked)
        await asyncio.sleep(0.01)


async def read(connection):
    while True:
        line = await connection.readline()
        say(heard=line[:-1])


async def write_in_turn(connection, texts):
    while True:
        text = await texts.get()
        await connection.write(text)
        say(acked=text)


async def serve(name, texts):
    connection = await server.client_conn(name)
    await asyncio.gather(watch(connection), read(connection), write_in_turn(connection, texts))


async def obey(texts):
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    while line := await commands.readline():
        texts.put_nowait(json.loads(line)["write"])


async def main(timeout, name):
    texts = asyncio.Queue()
    tasks = [server.run({name}, True, 0, int(timeout)), serve(name, texts), obey(texts)]
    tasks = [asyncio.create_task(task) for task in tasks]
    # The first to end is `obey`, unless the reference fails: then its error is raised here.
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    done.pop().result()


asyncio.run(main(*sys.argv[1:]))
