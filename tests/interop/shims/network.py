# MIT licence.
"""A WLAN for a computer that is on the network anyway.

It is associated as soon as it is asked to be, and loses its association when told to, as a board's
does. `radio(False)` is an outage of the access point.
"""

STA_IF = 0
AP_IF = 1

_air = True
_associated = True  # As a board that remembers its last access point


def radio(on):
    global _air
    _air = on


class WLAN:
    def __init__(self, interface):
        self._interface = interface

    def active(self, on=None):
        return self._interface == STA_IF

    def connect(self, ssid=None, password=None):
        global _associated
        _associated = True

    def disconnect(self):
        global _associated
        _associated = False

    def isconnected(self):
        return _air and _associated
