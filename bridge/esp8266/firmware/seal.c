#include "seal.h"

#include "bytes.h"
#include "chacha20_poly1305.h"
#include "core.h"
#include "hmac.h"
#include "port.h"
#include "words.h"

enum way { TO_SERVER, TO_DEVICE };

static uint32_t keys[2][8] IN_WORDS;
static uint64_t next[2]; /* numbers of the records */
static bool wanted, keyed, proven, broken;

/* The record that is being received: its parts, as far as they are here, and where its text is. */
static uint8_t head[SEAL_LENGTH], tag[SEAL_TAG];
static uint16_t have;
static uint8_t *text;

void seal_begin(bool is_wanted) {
  wanted = is_wanted;
  keyed = proven = broken = false;
  have = 0;
  next[TO_SERVER] = next[TO_DEVICE] = 0;
}

/* HKDF-SHA256 (RFC 5869): no salt, and as info the label and the hash of what was said. */
void seal_derive(const uint8_t key[32], const uint8_t *greeting, size_t length) {
  static const char label[] = "holdfast 03";
  enum { LABEL = sizeof label - 1, HASH = 32 };
  uint8_t made[HASH], input[HASH + LABEL + HASH + 1];
  uint8_t *info = input + HASH;
  bytes_copy(info, label, LABEL);
  {
    struct sha256 hash;
    holdfast_sha256_start(&hash);
    holdfast_sha256_add(&hash, greeting, length);
    holdfast_sha256_end(&hash, info + LABEL);
  }
  uint8_t extracted[HASH];
  holdfast_hmac_sha256(0, 0, key, 32, extracted);
  for (int way = 0; way < 2; way++) {
    input[sizeof input - 1] = way + 1;
    /* The second is of the first, too. */
    const uint8_t *from = way ? input : info;
    holdfast_hmac_sha256(extracted, HASH, from, input + sizeof input - from, made);
    words_copy(keys[way], 0, made, HASH);
    bytes_copy(input, made, HASH);
  }
  keyed = true;
}

/* The next record of a way: its nonce, and what authenticates it, up to its text. */
static void start(struct poly1305 *mac, uint32_t nonce[3], enum way way, const uint8_t length[SEAL_LENGTH]) {
  uint64_t number = next[way]++;
  uint8_t block[64];
  nonce[0] = 0;
  nonce[1] = number;
  nonce[2] = number >> 32;
  chacha20_block(keys[way], 0, nonce, block);
  poly1305_start(mac, block);
  poly1305_add(mac, length, SEAL_LENGTH);
}

static void end(struct poly1305 *mac, size_t length, uint8_t made[SEAL_TAG]) {
  uint8_t lengths[16] = { SEAL_LENGTH };
  lengths[8] = length;
  lengths[9] = length >> 8;
  poly1305_add(mac, lengths, sizeof lengths);
  poly1305_end(mac, made);
}

/* Up to 64 bytes of a text, hidden or shown. */
static size_t crypt(enum way way, const uint32_t nonce[3], const uint8_t *from, size_t at, size_t length, uint8_t to[64]) {
  size_t n = length - at < 64 ? length - at : 64;
  uint8_t block[64];
  chacha20_block(keys[way], 1 + at / 64, nonce, block);
  for (size_t i = 0; i < n; i++) to[i] = from[at + i] ^ block[i];
  return n;
}

void seal_send(const uint8_t *piece, size_t length) {
  if (!proven) {
    proven = keyed; /* this one is the proof, then */
    port_tcp_send(piece, length);
    return;
  }
  uint8_t bytes[64] = { length >> 8, length };
  uint32_t nonce[3];
  struct poly1305 mac;
  start(&mac, nonce, TO_SERVER, bytes);
  port_tcp_send(bytes, SEAL_LENGTH);
  for (size_t at = 0, n; at < length; at += n) {
    n = crypt(TO_SERVER, nonce, piece, at, length, bytes);
    poly1305_add(&mac, bytes, n);
    port_tcp_send(bytes, n);
  }
  end(&mac, length, bytes);
  port_tcp_send(bytes, SEAL_TAG);
}

/* Whether the record's text is what the server has sent next; then it is shown. */
static bool open(size_t length) {
  uint32_t nonce[3];
  struct poly1305 mac;
  uint8_t made[SEAL_TAG], differs = 0;
  start(&mac, nonce, TO_DEVICE, head);
  poly1305_add(&mac, text, length);
  end(&mac, length, made);
  for (int i = 0; i < SEAL_TAG; i++) differs |= made[i] ^ tag[i];
  if (differs) return false;
  for (size_t at = 0; at < length; at += 64) crypt(TO_DEVICE, nonce, text, at, length, text + at);
  return true;
}

/* Takes bytes that belong to a part of the record, which begins behind so many of it. */
static size_t fill(uint8_t *part, size_t begin, size_t size, const uint8_t *bytes, size_t length) {
  if (have < begin || have >= begin + size) return 0;
  size_t n = begin + size - have;
  if (n > length) n = length;
  bytes_copy(part + have - begin, bytes, n);
  have += n;
  return n;
}

static size_t receive_record(const uint8_t *bytes, size_t length, uint32_t now) {
  size_t taken = fill(head, 0, SEAL_LENGTH, bytes, length);
  if (have < SEAL_LENGTH) return taken;
  size_t size = head[0] << 8 | head[1];
  if (!size || size > core_get(R_LINE) + 3) {
    broken = true;
    return length;
  }
  uint8_t *to = core_input(size);
  if (!to) return taken; /* later */
  /* The core may have moved what lies before it. */
  size_t here = have - SEAL_LENGTH;
  if (here > size) here = size;
  if (here && to != text) bytes_move(to, text, here);
  text = to;
  taken += fill(text, SEAL_LENGTH, size, bytes + taken, length - taken);
  taken += fill(tag, SEAL_LENGTH + size, SEAL_TAG, bytes + taken, length - taken);
  if (have < size + SEAL_RECORD) return taken;
  have = 0;
  if (open(size)) core_received(size, now);
  else broken = true;
  return taken;
}

size_t seal_receive(const uint8_t *bytes, size_t length, uint32_t now) {
  if (broken) return length;
  if (keyed) return receive_record(bytes, length, now);
  if (wanted) {
    /* To the end of the welcome. */
    size_t n = 0;
    while (n < length && bytes[n] != '\n') n++;
    if (n < length) length = n + 1;
  }
  return core_receive(bytes, length, now);
}

bool seal_broken(void) {
  return broken;
}
