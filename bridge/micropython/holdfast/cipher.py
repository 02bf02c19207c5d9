"""ChaCha20-Poly1305 (RFC 8439) in plain Python, for ports without the native emitter: each record leaves far more garbage than its
own size. cipher_native.py is the same in machine code."""
from struct import pack, unpack

_M32 = 0xFFFFFFFF
_PRIME = (1 << 130) - 5
# The words, of sixteen, that each quarter round of a double round mixes.
_TURNS = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)


class Cipher:
    """Has a key of 32 bytes. Works in place on `buf`, which holds `aad` bytes in the clear, a text of n bytes, and room for a tag
    of 16 bytes."""

    def __init__(self, key):
        self._key = unpack("<8I", key)

    def begin(self, nonce):
        """Begins a text, with a new nonce of 12 bytes."""
        self._words = list(unpack("<4I", b"expand 32-byte k") + self._key + (0,) + unpack("<3I", nonce))
        self._tag_key = self._block()

    def _block(self):
        """The next 64 bytes of the key stream."""
        words = self._words
        x = words[:]
        for _ in range(10):
            for a, b, c, d in _TURNS:
                for left, right in ((16, 12), (8, 7)):
                    x[a] = x[a] + x[b] & _M32
                    t = x[d] ^ x[a]
                    x[d] = (t << left | t >> 32 - left) & _M32
                    x[c] = x[c] + x[d] & _M32
                    t = x[b] ^ x[c]
                    x[b] = (t << right | t >> 32 - right) & _M32
        block = pack("<16I", *[a + b & _M32 for a, b in zip(x, words)])
        words[12] += 1
        return block

    def crypt(self, buf, aad, n):
        """Encrypts, or decrypts."""
        for i in range(n):
            if not i & 63:
                block = self._block()
            buf[aad + i] ^= block[i & 63]

    def tag(self, buf, aad, n):
        """The tag of the encrypted text: 16 bytes."""
        r = int.from_bytes(self._tag_key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
        sum = 0
        for start, end in ((0, aad), (aad, aad + n)):
            for at in range(start, end, 16):
                block = bytes(buf[at : min(at + 16, end)])
                sum = (sum + int.from_bytes(block, "little") + (1 << 128)) * r % _PRIME
        sum = (sum + (aad | n << 64 | 1 << 128)) * r % _PRIME
        sum += int.from_bytes(self._tag_key[16:32], "little")
        return (sum & (1 << 128) - 1).to_bytes(16, "little")
