"""Why a connection has ended, in words: core.py and client.py know numbers. Imported where somebody is told."""

NAMES = {
    1: "NO_ANSWER",
    2: "NO_GREETING",
    3: "SILENT",
    4: "STALLED",
    5: "LOST",
    6: "LINE_TOO_LONG",
    7: "BAD_LINE",
    8: "GAP",
    9: "BAD_POSITION",
    10: "BAD_UTF8",
    11: "LATE",
    12: "BAD_SEAL",
    16: "BAD_GREETING",
    17: "BAD_PROOF",
    18: "REFUSED",
}


def tell(core):
    """Prints why the connection of a core has ended."""
    print("holdfast:", NAMES[core.reason], core.refusal if core.reason == 18 else "")
