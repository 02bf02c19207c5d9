/*
 * ChaCha20 and Poly1305 of RFC 8439, for sealed records (records.h). It needs no other file. It has no tables, and no
 * branch or address depends on a secret. The processor multiplies 32 bits to 32, so the digits of the sums are small.
 * The names have a prefix, as vendors' libraries have functions with the same names.
 */
#ifndef HOLDFAST_CHACHA20_POLY1305_H
#define HOLDFAST_CHACHA20_POLY1305_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The 64 bytes of the stream with this number. */
void holdfast_chacha20_block(const uint32_t key[8], uint32_t number, const uint32_t nonce[3], uint8_t block[64]);

struct holdfast_poly1305 {
  uint32_t r[10], h[10]; /* in digits of 13 bits */
  uint32_t s[4];
};

/* Each key may be used for only one text. */
void holdfast_poly1305_start(struct holdfast_poly1305 *mac, const uint8_t key[32]);
/* Adds bytes, padded with zeros to whole blocks of 16. */
void holdfast_poly1305_add(struct holdfast_poly1305 *mac, const uint8_t *bytes, size_t length);
void holdfast_poly1305_end(struct holdfast_poly1305 *mac, uint8_t tag[16]);

#ifdef __cplusplus
}
#endif

#endif
