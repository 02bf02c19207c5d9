/*
 * ChaCha20 and Poly1305 of RFC 8439, for sealed records (seal.h). No tables, and no branch or address depends on what
 * is secret. The processor multiplies 32 bits to 32, so the digits of the sums are small.
 */
#ifndef HOLDFAST_CHACHA20_POLY1305_H
#define HOLDFAST_CHACHA20_POLY1305_H

#include <stddef.h>
#include <stdint.h>

/* The 64 bytes of the stream with this number. */
void chacha20_block(const uint32_t key[8], uint32_t number, const uint32_t nonce[3], uint8_t block[64]);

struct poly1305 {
  uint32_t r[10], h[10]; /* in digits of 13 bits */
  uint8_t s[16];
};

/* A key is good for one text. */
void poly1305_start(struct poly1305 *mac, const uint8_t key[32]);
/* Adds bytes, filled up with zeros to whole blocks of 16. */
void poly1305_add(struct poly1305 *mac, const uint8_t *bytes, size_t length);
void poly1305_end(struct poly1305 *mac, uint8_t tag[16]);

#endif
