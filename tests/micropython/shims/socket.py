"""A network for MicroPython in WASM, which has none: its one peer is the test."""
SOCK_STREAM = 1


class Peer:
    def __init__(self):
        self.reset()

    def reset(self):
        self.sent = b""
        self.fault = None  # "end", "reset", "block" or "deaf"
        self.keepalives = 0
        self.line = None  # what arrives next, a line of one byte without allocation
        self.pieces = []

    def write(self, data):
        if self.fault == "block":
            return None
        if self.fault in ("reset", "deaf"):
            raise OSError(104)
        if data == b"\n":
            self.keepalives += 1
        else:
            self.sent += data
        return len(data)

    def readinto(self, buf, n):
        if self.line:
            buf[0] = 10
            self.line = None
            return 1
        if self.fault == "reset":
            raise OSError(104)
        if not self.pieces:
            return 0 if self.fault == "end" else None
        piece = self.pieces.pop(0)
        if len(piece) > n:
            self.pieces.insert(0, piece[n:])
            piece = piece[:n]
        buf[: len(piece)] = piece
        return len(piece)

    def setblocking(self, on):
        pass

    def connect(self, address):
        self.pieces = []
        self.fault = None

    def setsockopt(self, *args):
        pass

    def close(self):
        pass


peer = Peer()


def getaddrinfo(host, port, *args):
    return [(2, 1, 0, "", (host, port))]


def socket(*args):
    return peer
