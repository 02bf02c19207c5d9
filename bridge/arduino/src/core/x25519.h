/*
 * X25519 (RFC 7748), for the ephemeral keys of suite 4. It needs no other file. It has no tables, and no branch or
 * address depends on a secret. Made for processors that multiply 32 bits to 32: no product or sum is longer.
 */
#ifndef HOLDFAST_X25519_H
#define HOLDFAST_X25519_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HOLDFAST_X25519_BYTES 32

/* Multiplies a point by a scalar: `shared` is the shared secret if the point is the other end's key. It may be the same
 * memory as `point`. Needs about 850 bytes of stack. */
void holdfast_x25519(const uint8_t scalar[HOLDFAST_X25519_BYTES], const uint8_t point[HOLDFAST_X25519_BYTES],
                     uint8_t shared[HOLDFAST_X25519_BYTES]);

/* The key that belongs to a scalar. */
void holdfast_x25519_public(const uint8_t scalar[HOLDFAST_X25519_BYTES], uint8_t key[HOLDFAST_X25519_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
