"""Names of the reasons why a connection ends: core.py and client.py have only numbers. Imported when one is printed."""

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
    """Prints why a core's connection has ended."""
    print("holdfast:", NAMES[core.reason], core.refusal if core.reason == 18 else "")
