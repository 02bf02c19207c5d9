"""What versions_test.ts asks a MicroPython in WASM, beside the vectors. Each is a function of a text."""
import sys

import last_words
import lookups
import sizes
from replay import verdict


def version(_):
    return sys.version


def fault(text):
    """Of a module's text: "" if it compiles, or the error's name."""
    try:
        compile(text, "module", "exec")
        return ""
    except Exception as error:
        return type(error).__name__


def links(_):
    """Bytes that the keepalives of a link with proof allocate; what comes of a server's last words; how often each of three names
    is looked up at least, where nobody answers."""
    sizes.load()
    sizes.connect()
    sizes.gc.collect()
    allocated = sizes.keepalives()
    sizes.close()
    return "%d; %s; %d" % (allocated, last_words.scenes(), lookups.scene(3))
