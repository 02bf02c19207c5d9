# MIT licence.
"""The name which asyncio had in MicroPython when the reference was written."""

import asyncio


def __getattr__(name):
    return getattr(asyncio, name)
