#include "chacha20_poly1305.h"

static uint32_t rotate(uint32_t word, int bits) {
  return word << bits | word >> (32 - bits);
}

static void quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d) {
  *a += *b, *d = rotate(*d ^ *a, 16);
  *c += *d, *b = rotate(*b ^ *c, 12);
  *a += *b, *d = rotate(*d ^ *a, 8);
  *c += *d, *b = rotate(*b ^ *c, 7);
}

void holdfast_chacha20_block(const uint32_t key[8], uint32_t number, const uint32_t nonce[3], uint8_t block[64]) {
  uint32_t x[16], first[4] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };
  for (int i = 0; i < 4; i++) x[i] = first[i];
  for (int i = 0; i < 8; i++) x[4 + i] = key[i];
  x[12] = number;
  for (int i = 0; i < 3; i++) x[13 + i] = nonce[i];
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 4; i++) quarter(x + i, x + 4 + i, x + 8 + i, x + 12 + i);
    for (int i = 0; i < 4; i++) quarter(x + i, x + 4 + ((i + 1) & 3), x + 8 + ((i + 2) & 3), x + 12 + ((i + 3) & 3));
  }
  for (int i = 0; i < 16; i++) {
    uint32_t before = i < 4 ? first[i] : i < 12 ? key[i - 4] : i == 12 ? number : nonce[i - 13];
    uint32_t word = x[i] + before;
    for (int j = 0; j < 4; j++, word >>= 8) block[i * 4 + j] = word;
  }
}

#define DIGITS 10
#define BITS 13
#define MASK 0x1fffu

/* Adds 128 bits, padded with zeros, and the bits above them. */
static void add(uint32_t *digits, const uint8_t *bytes, size_t length, uint32_t top) {
  uint32_t held = 0;
  size_t at = 0;
  int bits = 0;
  for (int i = 0; i < DIGITS; i++) {
    for (; bits < BITS && at < 16; bits += 8, at++) held |= (uint32_t)(at < length ? bytes[at] : 0) << bits;
    digits[i] += (held & MASK) + (i == DIGITS - 1 ? top << 11 : 0); /* the last digit starts at bit 117 */
    held >>= BITS;
    bits -= BITS;
  }
}

void holdfast_poly1305_start(struct holdfast_poly1305 *mac, const uint8_t key[32]) {
  uint8_t r[16];
  for (int i = 0; i < 16; i++) r[i] = key[i] & (i % 4 == 3 ? 15 : i % 4 || !i ? 255 : 252);
  for (int i = 0; i < DIGITS; i++) mac->r[i] = mac->h[i] = 0;
  add(mac->r, r, sizeof r, 0);
  for (int i = 0; i < 4; i++) {
    mac->s[i] = 0;
    for (int j = 4; j--;) mac->s[i] = mac->s[i] << 8 | key[16 + i * 4 + j];
  }
}

/* h = h * r, modulo 2^130 - 5. */
static void multiply(struct holdfast_poly1305 *mac) {
  uint32_t product[DIGITS], carry = 0;
  for (int i = 0; i < DIGITS; i++) {
    uint32_t sum = carry;
    carry = 0;
    for (int j = 0; j < DIGITS; j++) {
      /* 2^130 is 5. */
      sum += mac->h[j] * (j <= i ? mac->r[i - j] : 5 * mac->r[i + DIGITS - j]);
      if (j != 4) continue;
      carry = sum >> BITS; /* all ten products would exceed 32 bits */
      sum &= MASK;
    }
    carry += sum >> BITS;
    product[i] = sum & MASK;
  }
  carry = carry * 5 + product[0];
  mac->h[0] = carry & MASK;
  mac->h[1] = product[1] + (carry >> BITS);
  for (int i = 2; i < DIGITS; i++) mac->h[i] = product[i];
}

void holdfast_poly1305_add(struct holdfast_poly1305 *mac, const uint8_t *bytes, size_t length) {
  while (length) {
    size_t n = length < 16 ? length : 16;
    add(mac->h, bytes, n, 1);
    multiply(mac);
    bytes += n;
    length -= n;
  }
}

/* Adds a number to the lowest digit, and carries until all are below 2^13; returns the carry out of the last one. */
static uint32_t carry_all(uint32_t *digits, uint32_t more) {
  for (int i = 0; i < DIGITS; i++) {
    more += digits[i];
    digits[i] = more & MASK;
    more >>= BITS;
  }
  return more;
}

void holdfast_poly1305_end(struct holdfast_poly1305 *mac, uint8_t tag[16]) {
  uint32_t *h = mac->h, *more = mac->r;
  uint32_t above = carry_all(h, 0);
  carry_all(h, above * 5);
  /* h is 2^130 - 5 or more exactly if h + 5 reaches 2^130: then h + 5 - 2^130 is the result. */
  for (int i = 0; i < DIGITS; i++) more[i] = h[i];
  uint32_t mask = -carry_all(more, 5);
  for (int i = 0; i < DIGITS; i++) h[i] = (h[i] & ~mask) | (more[i] & mask);
  uint32_t held = 0, carry = 0;
  int bits = 0, from = 0;
  for (int i = 0; i < 16; i++) {
    for (; bits < 8; bits += BITS) held |= h[from++] << bits;
    carry += (held & 255) + (mac->s[i / 4] >> i % 4 * 8 & 255);
    tag[i] = carry;
    carry >>= 8;
    held >>= 8;
    bits -= 8;
  }
}
