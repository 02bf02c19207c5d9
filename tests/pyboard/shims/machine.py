# MIT licence.
"""The pins of a Pyboard that are wired to an ESP8266, on the testbed."""

import wires

_WIRES = {"X11": wires.SYN, "Y8": wires.ACK, "X12": wires.RESET}


class Pin:
    IN, OUT, PULL_UP, IRQ_RISING = 0, 1, 1, 1

    def __init__(self, name, mode=None, pull=None, value=None):
        self._wire = _WIRES[name]
        self._mode = Pin.IN
        if mode is not None:
            self.init(mode, pull, value)

    def init(self, mode=None, pull=None, value=None):
        self._mode = mode
        if mode == Pin.OUT and value is not None:
            self(value)

    def __call__(self, value=None):
        if value is None:
            return wires.get_pin(self._wire)
        if self._mode != Pin.OUT:
            raise ValueError("the pin is no output")
        wires.set_pin(self._wire, 1 if value else 0)

    value = __call__
