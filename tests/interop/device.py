# MIT licence.
"""A device application on the reference's client, driven over stdin and stdout.

    micropython device.py ID HOST PORT TIMEOUT

It reads one JSON object a line and ends with its input:
    {"write": TEXT}                 after the writes before it; "wait": false for at once
    {"radio": false}                the access point is gone until {"radio": true}
and prints one a line, among whatever else is printed:
    {"linked": true or false}       the client's status has changed
    {"heard": TEXT}                 a line for the application
    {"acked": TEXT}                 a write has returned
"""

import json
import sys

import asyncio
import network
from iot.client import Client


def say(**event):
    print(json.dumps(event))


async def watch(client):
    linked = False
    while True:
        if client.status() != linked:
            linked = not linked
            say(linked=linked)
        await asyncio.sleep_ms(10)


async def read(client):
    while True:
        line = await client.readline()
        say(heard=line[:-1])


async def write(client, text, wait=True):
    await client.write(text, wait=wait)
    say(acked=text)


async def write_in_turn(client, texts):
    while True:
        while texts:
            await write(client, texts.pop(0))
        await asyncio.sleep_ms(10)


async def main(name, host, port, timeout):
    client = Client(name, host, int(port), "air", "", int(timeout), verbose=True)
    texts = []
    tasks = [watch(client), read(client), write_in_turn(client, texts)]
    tasks = [asyncio.create_task(task) for task in tasks]
    commands = asyncio.StreamReader(sys.stdin)
    while True:
        line = await commands.readline()
        if not line:
            return
        command = json.loads(line)
        if "radio" in command:
            network.radio(command["radio"])
        elif command.get("wait", True):
            texts.append(command["write"])
        else:
            asyncio.create_task(write(client, command["write"], False))


asyncio.run(main(*sys.argv[1:]))
