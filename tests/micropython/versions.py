"""What versions_test.ts runs on a MicroPython in WASM, besides the vectors. Each function takes a text."""
import sys

import last_words
import lookups
import sizes
from replay import verdict


def version(_):
    return sys.version


def fault(text):
    """Compiles a module's text: "" if it compiles, or the error's name."""
    try:
        compile(text, "module", "exec")
        return ""
    except Exception as error:
        return type(error).__name__


def links(_):
    """Bytes that the keepalives of a link with proof allocate; the results of a server's last words; how often the least
    looked-up of three names is looked up if nobody answers."""
    sizes.load()
    sizes.connect()
    sizes.gc.collect()
    allocated = sizes.keepalives()
    sizes.close()
    return "%d; %s; %d" % (allocated, last_words.scenes(), lookups.scene(3))
