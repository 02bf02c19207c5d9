#include "hmac.h"

static const uint32_t K[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t word, int bits) {
  return word >> bits | word << (32 - bits);
}

static void compress(struct sha256 *hash) {
  uint32_t w[16]; /* the schedule, as far as it is still needed */
  for (int i = 0; i < 16; i++) {
    const uint8_t *at = hash->block + i * 4;
    w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]; /* an int may have 16 bits */
  }
  uint32_t v[8];
  for (int i = 0; i < 8; i++) v[i] = hash->state[i];
  for (int i = 0; i < 64; i++) {
    if (i >= 16) {
      uint32_t a = w[(i + 1) & 15], b = w[(i + 14) & 15];
      w[i & 15] += (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[(i + 9) & 15] +
        (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    uint32_t e = v[4], a = v[0];
    uint32_t t = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + K[i] +
      w[i & 15];
    uint32_t u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
    for (int j = 7; j > 0; j--) v[j] = v[j - 1];
    v[4] += t;
    v[0] = t + u;
  }
  for (int i = 0; i < 8; i++) hash->state[i] += v[i];
}

void holdfast_sha256_start(struct sha256 *hash) {
  static const uint32_t first[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
  };
  for (int i = 0; i < 8; i++) hash->state[i] = first[i];
  hash->length = 0;
}

void holdfast_sha256_add(struct sha256 *hash, const uint8_t *bytes, size_t length) {
  while (length--) {
    hash->block[hash->length++ & 63] = *bytes++;
    if (!(hash->length & 63)) compress(hash);
  }
}

void holdfast_sha256_end(struct sha256 *hash, uint8_t digest[32]) {
  static const uint8_t one = 0x80, zero = 0;
  uint32_t length = hash->length;
  holdfast_sha256_add(hash, &one, 1);
  while ((hash->length & 63) != 56) holdfast_sha256_add(hash, &zero, 1);
  uint8_t bits[8] = { 0, 0, 0, length >> 29, length >> 21, length >> 13, length >> 5, length << 3 };
  holdfast_sha256_add(hash, bits, 8);
  for (int i = 0; i < 32; i++) digest[i] = hash->state[i >> 2] >> (24 - (i & 3) * 8);
}

/* Starts with the key, padded with zeros to a block, each byte combined with `pad`. */
static void start_with(struct sha256 *hash, const uint8_t *key, size_t key_length, uint8_t pad) {
  holdfast_sha256_start(hash);
  for (size_t i = 0; i < sizeof hash->block; i++) {
    uint8_t byte = (i < key_length ? key[i] : 0) ^ pad;
    holdfast_sha256_add(hash, &byte, 1);
  }
}

void holdfast_hmac_sha256(const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length,
                          uint8_t digest[32]) {
  struct sha256 hash;
  uint8_t short_key[32];
  if (key_length > sizeof hash.block) {
    holdfast_sha256_start(&hash);
    holdfast_sha256_add(&hash, key, key_length);
    holdfast_sha256_end(&hash, short_key);
    key = short_key;
    key_length = sizeof short_key;
  }
  start_with(&hash, key, key_length, 0x36);
  holdfast_sha256_add(&hash, bytes, length);
  holdfast_sha256_end(&hash, digest);
  start_with(&hash, key, key_length, 0x5c);
  holdfast_sha256_add(&hash, digest, 32);
  holdfast_sha256_end(&hash, digest);
}
