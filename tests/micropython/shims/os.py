"""The module `os` of MicroPython in WASM, plus what a board's has."""
from random import getrandbits
from uos import *


def urandom(n):
    return bytes([getrandbits(8) for _ in range(n)])
