"""What cipher_native.py needs of MicroPython, for CPython: code that is made for a machine runs as Python, on memory whose words
have 32 bits. So its arithmetic is tested where there is no MicroPython; what a compiler makes of it is tested where there is."""
import builtins


class ptr8:
    width = "B"
    most = 0xFF


class ptr32:
    width = "I"
    most = 0xFFFFFFFF


class Memory:
    def __init__(self, kind, buf):
        view = memoryview(buf)
        self._words = view.cast(kind.width) if kind is ptr32 else view
        self._most = kind.most

    def __getitem__(self, at):
        if at < 0:
            raise IndexError(at)  # on a board it would read what lies before
        return self._words[at]

    def __setitem__(self, at, value):
        if at < 0:
            raise IndexError(at)
        self._words[at] = value & self._most


def viper(function):
    kinds = list(function.__annotations__.values())

    def call(*args):
        function(*[arg if kind is int else Memory(kind, arg) for arg, kind in zip(args, kinds)])

    return call


def const(value):
    return value


# In annotations they are names that nobody imports.
builtins.ptr8 = ptr8
builtins.ptr32 = ptr32
