/* HMAC-SHA256 (RFC 2104, FIPS 180-4), for the proofs of dialect 2. */
#ifndef HOLDFAST_HMAC_H
#define HOLDFAST_HMAC_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
  uint32_t state[8];
  uint32_t length; /* bytes so far */
  uint8_t block[64];
};

void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const uint8_t *bytes, size_t length);
void sha256_end(struct sha256 *hash, uint8_t digest[32]);

/* Needs about 500 bytes of stack. */
void hmac_sha256(const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length, uint8_t digest[32]);

#endif
