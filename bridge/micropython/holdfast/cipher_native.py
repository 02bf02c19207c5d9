"""ChaCha20-Poly1305 (RFC 8439) in machine code, for ports that have MicroPython's native emitter; elsewhere it cannot be imported.
After a `Cipher` is created, nothing here allocates. cipher.py is the same in plain Python, with the same `Cipher`.

Words have 32 bits, even where registers have more: each sum is stored before it is used again."""
import micropython

# The words, of sixteen, that each quarter round of a double round mixes.
_TURNS = b"\0\4\x08\x0c\1\5\x09\x0d\2\6\x0a\x0e\3\7\x0b\x0f\0\5\x0a\x0f\1\6\x0b\x0c\2\7\x08\x0d\3\4\x09\x0e"


@micropython.viper
def _block(words: ptr32, x: ptr32, turns: ptr8):
    """Puts the next 64 bytes of the key stream into x."""
    i = 0
    while i < 16:
        x[i] = words[i]
        i += 1
    n = 0
    while n < 10:
        i = 0
        while i < 32:
            a = turns[i]
            b = turns[i + 1]
            c = turns[i + 2]
            d = turns[i + 3]
            x[a] = x[a] + x[b]
            x[d] = x[d] ^ x[a]
            x[d] = x[d] << 16 | x[d] >> 16 & 0xFFFF
            x[c] = x[c] + x[d]
            x[b] = x[b] ^ x[c]
            x[b] = x[b] << 12 | x[b] >> 20 & 0xFFF
            x[a] = x[a] + x[b]
            x[d] = x[d] ^ x[a]
            x[d] = x[d] << 8 | x[d] >> 24 & 0xFF
            x[c] = x[c] + x[d]
            x[b] = x[b] ^ x[c]
            x[b] = x[b] << 7 | x[b] >> 25 & 0x7F
            i += 4
        n += 1
    i = 0
    while i < 16:
        x[i] = x[i] + words[i]
        i += 1
    words[12] = words[12] + 1


@micropython.viper
def _xor(buf: ptr8, x: ptr8, at: int, n: int):
    i = 0
    while i < n:
        buf[at + i] = buf[at + i] ^ x[i]
        i += 1


# Poly1305 in digits of 13 bits, as in poly1305-donna-16. p[0:10] is r, p[10:20] the sum, p[20:30] a product.


@micropython.viper
def _start(p: ptr32, piece: ptr8, x: ptr8, pad: ptr8):
    """Clears the sum. Splits the first block of the key stream into r, in `piece`, and the pad."""
    i = 0
    while i < 30:
        p[i] = 0
        i += 1
    i = 0
    while i < 16:
        piece[i] = x[i]
        pad[i] = x[16 + i]
        i += 1
    piece[16] = 0
    i = 4
    while i <= 16:
        piece[i - 1] = piece[i - 1] & 15
        if i < 16:
            piece[i] = piece[i] & 252
        i += 4


@micropython.viper
def _fill(piece: ptr8, buf: ptr8, at: int, n: int):
    """Copies the next 16 bytes, or n bytes and zeros."""
    i = 0
    while i < 16:
        piece[i] = 0
        if i < n:
            piece[i] = buf[at + i]
        i += 1


@micropython.viper
def _add(p: ptr32, at: int, block: ptr8):
    """Adds 17 bytes to the digits from p[at] on."""
    i = 0
    while i < 10:
        bit = 13 * i
        k = bit >> 3
        p[at + i] = p[at + i] + ((block[k] | block[k + 1] << 8 | block[k + 2] << 16) >> (bit & 7) & 0x1FFF)
        i += 1


@micropython.viper
def _multiply(p: ptr32):
    """Multiplies the sum by r, modulo 2**130 - 5; a carry may be left."""
    c = 0
    i = 0
    while i < 10:
        d = c
        c = 0
        j = 0
        while j < 10:
            if j > i:
                d += p[10 + j] * 5 * p[10 + i - j]
            else:
                d += p[10 + j] * p[i - j]
            # Five products and a digit fit 32 bits without a sign.
            if j == 4 or j == 9:
                c += d >> 13 & 0x7FFFF
                d = d & 0x1FFF
            j += 1
        p[20 + i] = d
        i += 1
    c = c * 5 + p[20]
    p[20] = c & 0x1FFF
    p[21] = p[21] + (c >> 13)
    i = 0
    while i < 10:
        p[10 + i] = p[20 + i]
        i += 1


@micropython.viper
def _finish(p: ptr32, pad: ptr8, tag: ptr8):
    """Computes the tag: the sum modulo 2**130 - 5, plus the pad."""
    n = 0
    c = 0
    while n < 2:  # then all digits have 13 bits
        i = 10
        while i < 20:
            c += p[i]
            p[i] = c & 0x1FFF
            c = c >> 13
            i += 1
        c = c * 5
        n += 1
    p[10] = p[10] + c
    # Computes the sum plus 5, too: if that reaches 2**130, the sum is not below the modulus. No branch depends on it.
    c = 5
    i = 0
    while i < 10:
        c += p[10 + i]
        p[20 + i] = c & 0x1FFF
        c = c >> 13
        i += 1
    above = 0 - c  # all ones, or zero
    below = c - 1
    c = 0
    bits = 0
    carry = 0
    k = 0
    i = 0
    while i < 10:
        digit = p[10 + i] & below | p[20 + i] & above
        c = c | digit << bits
        bits += 13
        while bits >= 8 and k < 16:
            carry += (c & 255) + pad[k]
            tag[k] = carry & 255
            carry = carry >> 8
            c = c >> 8
            bits -= 8
            k += 1
        i += 1


# Buffers for the current text, shared by all ciphers: a block of the key stream, the digits, a piece of the authenticated bytes,
# the pad and the tag.
_x = bytearray(64)
_p = bytearray(120)
_piece = bytearray(17)
_pad = bytearray(16)
_tag = bytearray(16)


class Cipher:
    """Has a key of 32 bytes. Works in place on `buf`, which holds `aad` bytes in the clear, a text of n bytes, and room for a tag
    of 16 bytes."""

    def __init__(self, key):
        self._words = bytearray(b"expand 32-byte k" + key + bytes(16))

    def begin(self, nonce):
        """Begins a text, with a new nonce of 12 bytes."""
        words = self._words
        for i in range(4):
            words[48 + i] = 0
        for i in range(12):
            words[52 + i] = nonce[i]
        _block(words, _x, _TURNS)
        _start(_p, _piece, _x, _pad)
        _add(_p, 0, _piece)
        _piece[16] = 1

    def crypt(self, buf, aad, n):
        """Encrypts, or decrypts."""
        at = 0
        while at < n:
            _block(self._words, _x, _TURNS)
            _xor(buf, _x, aad + at, min(n - at, 64))
            at += 64

    def _absorb(self, buf, at, end):
        while at < end:
            _fill(_piece, buf, at, end - at)
            _add(_p, 10, _piece)
            _multiply(_p)
            at += 16

    def tag(self, buf, aad, n):
        """The tag of the encrypted text: 16 bytes."""
        self._absorb(buf, 0, aad)
        self._absorb(buf, aad, aad + n)
        _fill(_piece, buf, 0, 0)
        for i in range(2):
            _piece[i] = aad >> 8 * i & 255
            _piece[8 + i] = n >> 8 * i & 255
        _add(_p, 10, _piece)
        _multiply(_p)
        _finish(_p, _pad, _tag)
        return _tag
