"""What cipher_native.py needs from MicroPython, for CPython: viper code runs as Python, on memory with words of 32 bits. So its
arithmetic is tested even without MicroPython; the compiled code is tested under MicroPython."""
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
            raise IndexError(at)  # a board would read the bytes before it
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


# Annotations use them without an import.
builtins.ptr8 = ptr8
builtins.ptr32 = ptr32
