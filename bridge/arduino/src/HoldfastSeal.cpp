/* A link's cryptography: ephemeral keys, and the records that it sends. */
#include "Holdfast.h"

#include <string.h>

#include "core/x25519.h"
#include "HoldfastSettings.h"

/* Draws the secret of this connection, and puts its key into the hello: the first half as the core's nonce. */
void HoldfastLink::sayKey() {
  uint8_t key[HOLDFAST_X25519_BYTES];
  for (unsigned i = 0; i < sizeof secret_; i += 4) {
    uint32_t word = random_();
    memcpy(secret_ + i, &word, 4);
  }
  holdfast_x25519_public(secret_, key);
  for (unsigned i = 0; i < HOLDFAST_NONCE; i += 4) {
    set(HF_CORE_NONCE + i, static_cast<uint32_t>(key[i]) << 24 | static_cast<uint32_t>(key[i + 1]) << 16 |
        static_cast<uint32_t>(key[i + 2]) << 8 | key[i + 3]);
  }
  char *to = at(name_ - HOLDFAST_MORE_DIGITS);
  for (unsigned i = 0; i < HOLDFAST_MORE_DIGITS; i++) to[i] = holdfast_digit(key[HOLDFAST_NONCE + i / 2], i % 2);
}

/* The server has proven its key: derives the keys of the records. */
void HoldfastLink::derive(const uint8_t *greeting, size_t length) {
  uint8_t shared[HOLDFAST_X25519_BYTES];
  if (ephemeral_ && !holdfast_records_share(&records_, secret_, greeting, length, shared)) return;
  holdfast_records_derive(&records_, sizes_.text, key_, ephemeral_ ? shared : nullptr, greeting, length);
}

/* Puts the core's piece where it waits for the socket. */
void HoldfastLink::put(const uint8_t *piece, size_t length) {
  if (!proven_) {
    proven_ = records_.keyed; /* then this piece is the proof */
    memcpy(out_ + out_end_, piece, length);
    out_end_ += length;
    return;
  }
  for (size_t n; length; piece += n, length -= n) {
    struct holdfast_record record;
    n = length < HOLDFAST_RECORD_MOST ? length : HOLDFAST_RECORD_MOST;
    holdfast_record_start(&record, &records_, n, out_ + out_end_);
    out_end_ += HOLDFAST_RECORD_LENGTH;
    for (size_t hidden; (hidden = holdfast_record_hide(&record, piece, out_ + out_end_));) out_end_ += hidden;
    holdfast_record_end(&record, out_ + out_end_);
    out_end_ += HOLDFAST_RECORD_TAG;
  }
}
