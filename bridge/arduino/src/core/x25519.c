#include "x25519.h"

/*
 * A number modulo p = 2^255 - 19 is 20 digits of 13 bits: 260 bits, so the unit of the lowest digit is 1 and that of
 * the top one is 2^247. Digits may exceed 13 bits. Three sizes decide which operations are allowed:
 *
 *   tight  at most 8,198: results of `multiply`, `carry` and `unpack`
 *   sum    at most 16,396: of two tight numbers
 *   difference  at most 24,580: of two tight numbers
 *
 * `multiply` takes two tight numbers, or one tight number and a sum or difference: 20 products of 8,198 x 24,580, plus
 * the carry, are below 2^32.
 */
enum { DIGITS = 20, BITS = 13 };
#define MASK 0x1fffu
/* 2^260 modulo p */
#define FOLD 608u

typedef uint32_t number[DIGITS];

/* Makes a number tight; its digits must be below 2^32 - 2^19. */
static void carry(number a) {
  uint32_t c = 0;
  for (int i = 0; i < DIGITS; i++) {
    c += a[i];
    a[i] = c & MASK;
    c >>= BITS;
  }
  a[0] += c * FOLD; /* below 2^29 */
  a[1] += a[0] >> BITS;
  a[0] &= MASK;
  a[2] += a[1] >> BITS; /* at most 7 */
  a[1] &= MASK;
}

static void add(number to, const number a, const number b) {
  for (int i = 0; i < DIGITS; i++) to[i] = a[i] + b[i];
}

/* Adds 64 p, so that no digit is below 0. */
static void subtract(number to, const number a, const number b) {
  for (int i = 0; i < DIGITS; i++) to[i] = a[i] + 2 * MASK - b[i];
  to[0] -= 64 * 19 - 2;
}

/* `to` may be a or b. Takes two digits of each at a time: four products for four loads. */
static void multiply(number to, const number a, const number b) {
  uint32_t product[2 * DIGITS], c = 0, next = 0;
  for (int at = 0; at < 2 * DIGITS; at += 2) {
    int from = at < DIGITS ? 0 : at - DIGITS + 2;
    const uint32_t *x = a + from, *y = b + at - from, *end = a + (at < DIGITS ? at : DIGITS - 2);
    uint32_t low = next, high = 0;
    next = 0;
    for (; x <= end; x += 2, y -= 2) {
      uint32_t x0 = x[0], x1 = x[1], y0 = y[0], y1 = y[1];
      low += x0 * y0;
      high += x0 * y1;
      high += x1 * y0;
      next += x1 * y1;
    }
    c += low;
    product[at] = c & MASK;
    c = (c >> BITS) + high;
    product[at + 1] = c & MASK;
    c >>= BITS;
  }
  product[2 * DIGITS - 1] += c << BITS;
  for (int i = 0; i < DIGITS; i++) to[i] = product[i] + product[DIGITS + i] * FOLD;
  carry(to);
}

/* Swaps two numbers if the mask is all ones, with the same instructions if it is zero. */
static void swap(number a, number b, uint32_t mask) {
  for (int i = 0; i < DIGITS; i++) {
    uint32_t differs = mask & (a[i] ^ b[i]);
    a[i] ^= differs;
    b[i] ^= differs;
  }
}

static void set(number to, uint32_t value) {
  for (int i = 0; i < DIGITS; i++) to[i] = 0;
  to[0] = value;
}

static void copy(number to, const number from) {
  for (int i = 0; i < DIGITS; i++) to[i] = from[i];
}

/* Ignores the highest bit, as RFC 7748 requires. */
static void unpack(number to, const uint8_t bytes[32]) {
  uint32_t held = 0;
  int bits = 0, at = 0;
  for (int i = 0; i < DIGITS; i++) {
    for (; bits < BITS && at < 32; at++, bits += 8) held |= (uint32_t)bytes[at] << bits;
    to[i] = held & MASK;
    held >>= BITS;
    bits -= BITS;
  }
  to[DIGITS - 1] &= 0xff; /* 8 bits above 247 */
}

/* Adds c and carries, and removes the bits beyond 255: returns them, in units of 2^255. */
static uint32_t settle(number to, const number a, uint32_t c) {
  for (int i = 0; i < DIGITS; i++) {
    c += a[i];
    to[i] = c & MASK;
    c >>= BITS;
  }
  c = c << (BITS - 8) | to[DIGITS - 1] >> 8;
  to[DIGITS - 1] &= 0xff;
  return c;
}

/* A tight number as bytes, reduced below p. */
static void pack(uint8_t bytes[32], number a) {
  number sum;
  uint32_t beyond = 0;
  for (int i = 0; i < 3; i++) beyond = settle(a, a, beyond * 19);
  uint32_t mask = -settle(sum, a, 19); /* ones if it is p or more */
  for (int i = 0; i < DIGITS; i++) a[i] ^= mask & (a[i] ^ sum[i]);
  uint32_t held = 0;
  int bits = 0, i = 0;
  for (int at = 0; at < 32; at++) {
    for (; bits < 8 && i < DIGITS; i++, bits += BITS) held |= a[i] << bits;
    bytes[at] = (uint8_t)held;
    held >>= 8;
    bits -= 8;
  }
}

/* The names are those of RFC 7748's ladder. */
void holdfast_x25519(const uint8_t scalar[32], const uint8_t point[32], uint8_t shared[32]) {
  number x1, x2, z2, x3, z3, e, f;
  uint32_t swapped = 0;
  unpack(x1, point);
  set(x2, 1);
  set(z2, 0);
  copy(x3, x1);
  set(z3, 1);
  for (int at = 254; at >= 0; at--) {
    /* The scalar's bits 0 to 2 count as 0, and bit 254 as 1. */
    uint32_t bit = at == 254 ? 1 : at < 3 ? 0 : scalar[at / 8] >> at % 8 & 1;
    swap(x2, x3, -(bit ^ swapped));
    swap(z2, z3, -(bit ^ swapped));
    swapped = bit;
    add(e, x2, z2);      /* A */
    carry(e);
    subtract(x2, x2, z2); /* B */
    carry(x2);
    add(z2, x3, z3);      /* C */
    subtract(x3, x3, z3); /* D */
    multiply(z3, x3, e);  /* DA */
    multiply(x3, z2, x2); /* CB */
    multiply(e, e, e);    /* AA */
    multiply(f, x2, x2);  /* BB */
    multiply(x2, e, f);
    subtract(z2, e, f);   /* E */
    for (int i = 0; i < DIGITS; i++) e[i] += z2[i] * 121665; /* below 2^32 - 2^19 */
    carry(e);
    multiply(z2, z2, e);
    add(e, z3, x3);
    carry(e);
    subtract(f, z3, x3);
    carry(f);
    multiply(x3, e, e);
    multiply(f, f, f);
    multiply(z3, f, x1);
  }
  swap(x2, x3, -swapped);
  swap(z2, z3, -swapped);
  /* x2 / z2: z2 to the power of p - 2, whose bits are all ones except bits 2 and 4. */
  copy(e, z2);
  for (int at = 253; at >= 0; at--) {
    multiply(e, e, e);
    if (at != 2 && at != 4) multiply(e, e, z2);
  }
  multiply(x2, x2, e);
  pack(shared, x2);
}

void holdfast_x25519_public(const uint8_t scalar[32], uint8_t key[32]) {
  uint8_t base[32] = { 9 };
  holdfast_x25519(scalar, base, key);
}
