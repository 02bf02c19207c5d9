"""The module of MicroPython in WASM, and what a board's has beside."""
from random import getrandbits
from uos import *


def urandom(n):
    return bytes([getrandbits(8) for _ in range(n)])
