# MIT licence.
"""The testbed's end of a Pyboard: its commands over TCP, as testbed.c describes them. Blocks as a Pyboard does."""

import os
import socket

SYN, ACK, RESET = 0, 1, 2

_socket = socket.socket()
_address = socket.getaddrinfo("127.0.0.1", int(os.getenv("HOLDFAST_TESTBED")))[0][-1]
_socket.connect(_address)


def _ask(command, length):
    view = memoryview(command)
    while len(view):
        view = view[_socket.send(view) :]
    answer = b""
    while len(answer) < length:
        more = _socket.recv(length - len(answer))
        if not more:
            raise SystemExit("the testbed has gone")
        answer += more
    return answer


def set_pin(pin, level):
    _ask(bytes((0x70, pin, level)), 1)


def get_pin(pin):
    return _ask(bytes((0x67, pin)), 1)[0]


def send(data):
    """True when the master has read it all."""
    if isinstance(data, str):
        data = data.encode()  # pyb takes any buffer
    return _ask(bytes((0x73, len(data))) + bytes(data), 1)[0] == 1


def receive(length):
    """The bytes that the master has written, or None."""
    answer = _ask(bytes((0x72, length)), length + 1)
    return answer[1:] if answer[0] == 1 else None
