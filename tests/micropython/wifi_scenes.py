"""What wifi.py asks of a port's WLAN, with a simulated WLAN and clock. Prints a line for each situation: the
calls that were made. Argument: the folder of the package."""
import sys

calls = []


class WLAN:
    PM_NONE = 0
    joined = False  # connected to an access point, with an address
    joining = False

    def __init__(self, interface):
        self.interface = interface
        self.on = interface == Network.AP_IF

    def active(self, on=None):
        if on is None:
            return self.on
        if on != self.on:
            calls.append(("sta " if self.interface == Network.STA_IF else "ap ") + ("on" if on else "off"))
            self.on = on
            WLAN.joining = WLAN.joined = False

    def config(self, pm):
        calls.append("pm %d" % pm)

    def isconnected(self):
        return WLAN.joined

    def connect(self, *credentials):
        if WLAN.joining:
            raise OSError("Wifi Internal Error")  # an ESP32
        WLAN.joining = True
        calls.append("connect " + " ".join(credentials))

    def disconnect(self):
        WLAN.joining = WLAN.joined = False
        calls.append("disconnect")


class Network:
    STA_IF = 0
    AP_IF = 1
    WLAN = WLAN


sys.modules["network"] = Network
sys.path.insert(0, sys.argv[1])
from holdfast import wifi


def scene(what, platform, steps, ssid="net"):
    """Steps: ms to pass, and whether WiFi is up from then on; or "link"."""
    wifi.platform = platform
    WLAN.joined = WLAN.joining = False
    calls.clear()
    it = wifi.WiFi(ssid, "pw")
    now = 1000
    for step in steps:
        if step == "link":
            it.linked()
            calls.append("link")
            continue
        pause, joined = step
        if joined is not None:
            WLAN.joined = joined
        for _ in range(0, pause + 1, 100):
            up = it.up(now)
            now += 100
        calls.append("up" if up else "down")
    print(what + ": " + ", ".join(calls))


for platform in ("esp8266", "esp32", "rp2", "pyboard"):
    scene(platform + " joins", platform, [(100, None), (3000, True)])
scene("esp8266 uses stored credentials", "esp8266", [(100, None)], "")
scene("esp32 was joined by its boot file", "esp32", [(100, True)])
for platform in ("esp32", "pyboard"):
    scene(platform + " finds no network", platform, [(16000, None)])
scene("rp2 loses the network", "rp2", [(0, None), (0, True), "link", (100, False), (100, True)])
scene("rp2 claims to be joined, and nothing passes", "rp2", [(0, None), (0, True), (61000, None), (0, True)])
scene("rp2 is joined, with a link each time", "rp2", [(0, True), "link", (50000, None), "link", (50000, None)])
