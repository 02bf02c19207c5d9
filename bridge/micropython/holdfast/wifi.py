"""Joins a WiFi network and stays in it, in the way that each port needs."""
from sys import platform

try:
    import network
except ImportError:  # a PC
    network = None

from .core import const, diff

# Most ms that joining may take.
_JOIN = const(15000)
# ms without a link after which WiFi is restarted although it is reported up.
_MUTE = const(60000)


def attach(client, ssid, pw, callback):
    """Gives a client its WiFi, if the port has any."""
    if network:
        client._wifi = WiFi(ssid, pw, callback)


class WiFi:
    """Calls `callback`, a function or a coroutine, with True when WiFi is up and with False when it is lost."""

    def __init__(self, ssid, pw, callback=None):
        self._ssid = ssid
        self._pw = pw
        self._sta = network.WLAN(network.STA_IF)
        self._since = None  # when joining began
        self._tries = 0
        self._air = False  # what the callback was last told
        self._callback = None
        if callback:
            from .hooks import told

            self._callback = told(callback)
        if platform in ("esp8266", "esp32"):
            network.WLAN(network.AP_IF).active(False)

    def up(self, now):
        """Call it while there is no link. Returns whether WiFi is up."""
        up = self._look(now)
        if up != self._air:
            self._air = up
            if self._callback:
                self._callback(up)
        return up

    def _look(self, now):
        up = self._sta.isconnected()
        if self._since is None and up:  # the chip, or the boot file, has joined by itself
            self._since = now
        elif self._since is None or diff(now, self._since) > (_MUTE if up else _JOIN):
            self._since = now
            self._join()
            return False
        return up

    def linked(self):
        """The link is up, so WiFi works."""
        self._since = None
        self._tries = 0

    def _join(self):
        sta = self._sta
        try:
            if sta.active():
                # An ESP32 that is still connecting refuses another attempt.
                sta.disconnect()
                # Elsewhere a restart clears failed attempts; a Pyboard D does not survive it.
                if self._tries and platform != "pyboard":
                    sta.active(False)
            self._tries += 1
            sta.active(True)
            # With power saving a station hears late, and a Pico W loses its access point without noticing.
            sta.config(pm=network.WLAN.PM_NONE)
            if self._ssid:
                sta.connect(self._ssid, self._pw)
            elif platform == "esp8266":
                sta.connect()  # to the network that it remembers
        except OSError:
            pass  # tried again after _JOIN
