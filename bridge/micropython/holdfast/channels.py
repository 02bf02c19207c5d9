"""Channels of a device (CHANNELS.md). Import this module only if you use them: from holdfast.channels import Channels"""
import asyncio
import json
from os import urandom

from .client import LinkError, sleep_ms

_NAME = "abcdefghijklmnopqrstuvwxyz0123456789_-/"


class Fault(Exception):
    """An answer that is not a value: Fault("busy", "until noon"). Codes: unknown, bad_value, busy, failed, unsupported."""


class Channels:
    """A device with channels. It reads all messages of its client: nothing else may read them. Create it before the first write.

    channels  handlers for what the server sets and asks, by name: {"heater": {"set": f}, "adc": {"ask": g}, "bell": {"event": h}}.
              A handler is a function or a coroutine that takes the value, or None. It returns the answer (None from set: the
              channel now has the value that was set), or raises Fault.
    line      called with each plain line
    on_fault  called when the server refuses something: with the channel, a code and a text
    """

    def __init__(self, client, app, version, channels, line=None, on_fault=None, description=None):
        self._client = client
        self._channels = channels
        self._line = line
        self._on_fault = on_fault
        self._tag = int.from_bytes(urandom(3), "big")
        self._asked = {}  # by tag: name, and the answer
        self._answered = asyncio.Event()
        for name in list(channels) + [app]:
            if not _is_name(name):
                raise ValueError(name)
        boot = "@%s %s" % (app, version)
        if description:
            boot += " " + json.dumps(description)
        if not client.put(boot):
            raise ValueError("Channels must be made before anything is written")
        self.task = asyncio.create_task(self._run())

    async def report(self, name, value, stamped=False, expires=None):
        """Reports a channel's value. stamped: with the time, so that it counts as measured now, however late it arrives."""
        await self._client.write("=%s%s %s" % (name, self._stamp(stamped), text_of(value)), wait=False, expires=expires)

    async def event(self, name, value=None, stamped=False, expires=None):
        """Reports that something has happened."""
        await self._client.write("!" + name + self._stamp(stamped) + _behind(value), wait=False, expires=expires)

    async def ask(self, name, value=None, deadline=None):
        """Asks the server. Raises Fault if it answers with one; after deadline ms LinkError EXPIRED if the server was not asked,
        UNANSWERED if it was. Do not await it in a handler: the answer comes after the message that is being handled."""
        self._tag += 1
        tag = str(self._tag)
        mine = self._asked[tag] = [name, None]
        waits = self._client.write("?%s.%s%s" % (name, tag, _behind(value)), wait=False, expires=deadline)
        try:
            if deadline is None:
                await waits
                while mine[1] is None:
                    await self._answered.wait()
            else:
                until = self._client.ms() + deadline
                await waits
                while mine[1] is None:
                    if until - self._client.ms() & 0x80000000:
                        raise LinkError("UNANSWERED")
                    await sleep_ms(20)
        finally:
            del self._asked[tag]
        is_fault, text = mine[1]
        if is_fault:
            raise Fault(*text.split(" ", 1))
        return value_of(text)

    def _stamp(self, stamped):
        return "@%d" % self._client.ms() if stamped else ""

    async def _run(self):
        async for line in self._client:
            answer = await self._take(line)
            if answer:
                try:
                    while not self._client.put(answer):
                        await sleep_ms(20)
                except ValueError:  # too long
                    self._client.put("~%s failed" % answer.split(" ", 1)[0][1:])

    async def _take(self, line):
        """Handles a line. Returns the answer."""
        mark = line[0]
        head, blank, text = line.partition(" ")
        name, dot, tag = head[1:].partition(".")
        if (
            mark not in "=!?:~"
            or not _is_name(name)
            or bool(dot) != _is_tag(tag)
            or not text
            and (blank or mark in "=~")
            or (mark == "?" and not dot or mark == "!" and dot)
        ):
            if self._line:
                await self._guard(self._line, line)
            return
        if mark in ":~":
            mine = self._asked.get(tag)
            if mine and mine[0] == name:
                mine[1] = mark == "~", text
                self._answered.set()
                self._answered.clear()
            elif mark == "~" and not tag and self._on_fault:
                await self._guard(self._on_fault, name, *(text.split(" ", 1)))
            return
        channel = self._channels.get(name)
        if mark == "!":
            if channel and "event" in channel:
                await self._guard(channel["event"], value_of(text))
            return
        code = "unknown"
        if channel is not None:
            handler = channel.get("set" if mark == "=" else "ask")
            code = "unsupported"
            if handler:
                value = value_of(text)
                try:
                    result = await _call(handler, value)
                    if result is None and mark == "=":
                        result = value
                    return ":" + head[1:] + _behind(result)
                except Fault as fault:
                    code = " ".join(fault.args)
                except Exception as error:
                    asyncio.create_task(_fail(error))
                    code = "failed"
        return "~" + head[1:] + " " + code


    async def _guard(self, handler, *args):
        try:
            await _call(handler, *args)
        except Exception as error:
            asyncio.create_task(_fail(error))


async def _fail(error):
    raise error  # asyncio prints it, and the link goes on


async def _call(handler, *args):
    result = handler(*args)
    if hasattr(result, "send"):
        result = await result
    return result


def _is_name(name):
    return 0 < len(name) <= 32 and all(c in _NAME for c in name)


def _is_tag(tag):
    return 0 < len(tag) <= 10 and all(c in "0123456789" for c in tag)


def _behind(value):
    return "" if value is None else " " + text_of(value)


def text_of(value):
    """A value as it is written in a line: as plain text if that is read back as the same text, otherwise as JSON."""
    if isinstance(value, float) and value - value != 0:
        raise ValueError("a value is JSON")  # not infinity or NaN
    if isinstance(value, str) and value and value == value.strip() and value_of(value) is value:
        if not any(c < " " or "\x7f" <= c < "\xa0" for c in value):  # controls
            return value
    return json.dumps(value)


def value_of(text):
    """The value of a line's text: JSON, or the text itself; None if it is empty."""
    if not text:
        return None
    bare = text.strip(" \t\r")
    if bare[:1] not in ("{", "[", '"') and bare not in ("true", "false", "null"):
        # MicroPython accepts more as a number than JSON does.
        digits = bare[1:] if bare[:1] == "-" else bare
        if (
            not all(c in "0123456789+-.eE" for c in digits)
            or not digits[:1].isdigit()
            or not digits[-1].isdigit()
            or digits[0] == "0" and digits[1:2].isdigit()
            or "." in digits and not digits[digits.index(".") + 1].isdigit()
        ):
            return text
    try:
        value = json.loads(bare)
    except ValueError:
        return text
    return text if isinstance(value, float) and value - value != 0 else value  # too large for a float
