"""A device with channels, for tests. Arguments: the folder of the package, and the server's port. It prints
what it is told outside of settings and requests; at a plain line "go" it reports, sends an event and asks the server."""
import asyncio
import sys

sys.path.insert(0, sys.argv[1])
from holdfast import Client, LinkError
from holdfast.channels import Channels, Fault


def heater(value):
    if value not in (0, 1):
        raise Fault("bad_value", "0 or 1")


async def slow(value):
    await asyncio.sleep(0.02)
    return "done"


def broken(value):
    raise KeyError("burnt")


def told(loop, context):
    print(repr(context["exception"]), file=sys.stderr)


async def main():
    # MicroPython 1.21 would print exceptions of a handler on stdout.
    asyncio.get_event_loop().set_exception_handler(told)
    client = Client("1", "127.0.0.1", int(sys.argv[2]), timeout=500)

    async def line(text):
        print("line", text)
        if text == "go":
            asyncio.create_task(go())

    async def go():
        await device.report("temp", 21.5, stamped=True)
        await device.event("button", "pressed")
        print("time", await device.ask("time", deadline=5000) > 1700000000000)
        try:
            await device.ask("weather", "now", deadline=5000)
        except Fault as fault:
            print("fault", *fault.args)
        try:
            await device.ask("nothing", deadline=3000)
        except Fault as fault:
            print("fault", *fault.args)
        except LinkError as error:
            print("error", error.args[0])
        await device.event("end")

    device = Channels(
        client,
        "kitchen",
        "3",
        {
            "heater": {"set": heater},
            "level": {"set": lambda value: min(value, 10)},
            "adc": {"ask": lambda channel: [channel, 512]},
            "slow": {"ask": slow},
            "quiet": {"ask": lambda value: None},
            "broken": {"set": broken},
            "bell": {"event": lambda value: print("bell", value)},
        },
        line=line,
        on_fault=lambda name, *words: print("not taken", name, *words),
    )
    await device.task


asyncio.run(main())
