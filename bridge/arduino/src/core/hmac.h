/*
 * HMAC-SHA256 (RFC 2104, FIPS 180-4), for the proofs of dialect 2. It needs no other file. The names have a prefix, as
 * vendors' libraries have functions named hmac_sha256.
 */
#ifndef HOLDFAST_HMAC_H
#define HOLDFAST_HMAC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sha256 {
  uint32_t state[8];
  uint32_t length; /* bytes so far */
  uint8_t block[64];
};

void holdfast_sha256_start(struct sha256 *hash);
void holdfast_sha256_add(struct sha256 *hash, const uint8_t *bytes, size_t length);
void holdfast_sha256_end(struct sha256 *hash, uint8_t digest[32]);

/* Needs about 500 bytes of stack. */
void holdfast_hmac_sha256(const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length,
                          uint8_t digest[32]);

#ifdef __cplusplus
}
#endif

#endif
