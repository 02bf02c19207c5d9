"""Keeps a client's position, so that no message comes twice after a reset: `Client(..., memory=RTC())`. Any object with two
methods will do: `load()` returns the bytes that were saved last, or no bytes; `save(data)` gets up to 12 bytes plus the longest
text, and they must be safe when it returns. It is called once for each message."""

from hashlib import sha256


class Position:
    """A client's position, in a memory."""

    def __init__(self, memory):
        self._memory = memory
        self._fault = None

    def load(self):
        """The saved position, and the text of the message that the application was still processing."""
        data = self._memory.load() or b""
        if len(data) < 12 or sha256(data[4:]).digest()[:4] != data[:4]:
            return (0, 0), None
        return (int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")), data[12:]

    def _save(self, core, ahead, text):
        number = core.rx_next + ahead & 0xFFFFFFFF
        data = core.rx_epoch.to_bytes(4, "big") + number.to_bytes(4, "big") + text
        self._memory.save(sha256(data).digest()[:4] + data)

    def done(self, core, ahead):
        """The application has processed a message. `ahead`: 1 if rx_next does not count it yet. Raises what the memory raises,
        here or before in `lost`."""
        if self._fault:
            fault = self._fault
            self._fault = None
            raise fault
        self._save(core, ahead, b"")

    def lost(self, core, text):
        """The connection is gone while the application is processing this text."""
        try:
            self._save(core, 0, text)
        except Exception as error:
            self._fault = error  # no call of the application to raise it in: `done` will


def attach(client, memory):
    """Gives a client its memory. Returns the position."""
    client._memory = Position(memory)
    position, left = client._memory.load()
    if left:  # by the run before: the client begins with it
        client._got = left.decode()
        client._held = left
        client._kept = True
    return position


class RTC:
    """The RTC memory of an ESP8266 (492 bytes) or an ESP32 (2,048 bytes): it survives resets and deep sleep, but not the loss of
    power, and does not wear. Nothing else may use it."""

    def __init__(self):
        import machine

        rtc = machine.RTC()
        self.load = self.save = rtc.memory


class File:
    """A file. Flash wears: on a board that receives many messages, prefer RTC memory."""

    def __init__(self, path):
        self._path = path

    def load(self):
        try:
            with open(self._path, "rb") as file:
                return file.read()
        except OSError:
            return b""

    def save(self, data):
        import os

        new = self._path + ".new"
        with open(new, "wb") as file:
            file.write(data)
        os.rename(new, self._path)


class NVS:
    """An ESP32's non-volatile storage: it survives the loss of power, and levels its wear."""

    def __init__(self, namespace="holdfast"):
        import esp32

        self._nvs = esp32.NVS(namespace)

    def load(self):
        data = bytearray(1024)
        try:
            return bytes(data[: self._nvs.get_blob("position", data)])
        except OSError:
            return b""

    def save(self, data):
        self._nvs.set_blob("position", data)
        self._nvs.commit()
