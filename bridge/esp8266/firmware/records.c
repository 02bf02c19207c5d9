#include "records.h"

#include "hmac.h"
#include "x25519.h"

enum way { TO_SERVER, TO_DEVICE };

static uint32_t word_at(const uint8_t *bytes) {
  return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void holdfast_records_begin(struct holdfast_records *records, uint32_t (*keys)[8]) {
  records->keys = keys;
  records->next[TO_SERVER] = records->next[TO_DEVICE] = 0;
  records->keyed = records->broken = false;
  records->have = 0;
  records->text = 0;
}

/* HKDF-SHA256 (RFC 5869), without salt; the info is the label and the hash of the greeting. */
void holdfast_records_derive(struct holdfast_records *records, size_t line, const uint8_t key[32],
                             const uint8_t shared[32], const uint8_t *greeting, size_t length) {
  static const char label[] = "holdfast 03";
  enum { LABEL = sizeof label - 1, HASH = 32 };
  const volatile char *letters = label; /* may be in flash, where the C library's memcpy cannot read bytes */
  /* The previous key, which the first one does not have; the info; the number. */
  uint8_t made[HASH], input[HASH + LABEL + HASH + 1];
  uint8_t *info = input + HASH;
  for (int i = 0; i < LABEL; i++) info[i] = (uint8_t)letters[i];
  if (shared) info[LABEL - 1] = '4';
  {
    struct sha256 hash;
    holdfast_sha256_start(&hash);
    holdfast_sha256_add(&hash, greeting, length);
    holdfast_sha256_end(&hash, info + LABEL);
  }
  uint8_t extracted[HASH];
  {
    uint8_t material[2 * HASH];
    for (int i = 0; i < HASH; i++) {
      material[i] = key[i];
      if (shared) material[HASH + i] = shared[i];
    }
    holdfast_hmac_sha256(0, 0, material, shared ? sizeof material : HASH, extracted);
  }
  for (int way = 0; way < 2; way++) {
    input[sizeof input - 1] = way + 1;
    const uint8_t *from = way ? input : info;
    holdfast_hmac_sha256(extracted, HASH, from, input + sizeof input - from, made);
    for (int i = 0; i < HASH; i += 4) records->keys[way][i / 4] = word_at(made + i);
    for (int i = 0; i < HASH; i++) input[i] = made[i];
  }
  size_t most = line + 3; /* of text, id and newline */
  records->most = most < HOLDFAST_RECORD_MOST ? most : HOLDFAST_RECORD_MOST;
  records->keyed = true;
}

/* Value of a lower-case hex digit; above 15: it is not one. */
static uint8_t digit(uint8_t c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 255;
}

bool holdfast_records_share(struct holdfast_records *records, uint8_t secret[32], const uint8_t *greeting,
                            size_t length, uint8_t shared[32]) {
  /* The welcome ends in the server's key, its proof and a newline. */
  enum { KEY = 64, BEHIND = 32 + 1 };
  bool good = length >= KEY + BEHIND;
  uint8_t any = 0;
  for (int i = 0; good && i < 32; i++) {
    const uint8_t *digits = greeting + length - KEY - BEHIND + 2 * i;
    uint8_t high = digit(digits[0]), low = digit(digits[1]);
    good = high < 16 && low < 16;
    shared[i] = (uint8_t)(high << 4 | low);
  }
  if (good) holdfast_x25519(secret, shared, shared);
  for (int i = 0; i < 32; i++) {
    if (good) any |= shared[i];
    secret[i] = 0;
  }
  records->broken = !good || !any;
  return !records->broken;
}

/* Begins the next record of a direction: its nonce, and its tag up to the text. */
static void start(struct holdfast_record *record, struct holdfast_records *records, enum way way, size_t length,
                  const uint8_t head[HOLDFAST_RECORD_LENGTH]) {
  uint64_t number = records->next[way]++;
  uint8_t block[64];
  record->key = records->keys[way];
  record->nonce[0] = 0;
  record->nonce[1] = number;
  record->nonce[2] = number >> 32;
  record->length = length;
  record->at = 0;
  holdfast_chacha20_block(record->key, 0, record->nonce, block);
  holdfast_poly1305_start(&record->mac, block);
  holdfast_poly1305_add(&record->mac, head, HOLDFAST_RECORD_LENGTH);
}

void holdfast_record_end(struct holdfast_record *record, uint8_t tag[HOLDFAST_RECORD_TAG]) {
  uint8_t lengths[16] = { HOLDFAST_RECORD_LENGTH };
  lengths[8] = record->length;
  lengths[9] = record->length >> 8;
  holdfast_poly1305_add(&record->mac, lengths, sizeof lengths);
  holdfast_poly1305_end(&record->mac, tag);
}

/* Encrypts or decrypts up to 64 bytes of a text; returns how many. */
static size_t crypt(struct holdfast_record *record, const uint8_t *text, uint8_t *to) {
  size_t at = record->at, n = record->length - at < 64 ? record->length - at : 64;
  uint8_t block[64];
  if (!n) return 0;
  holdfast_chacha20_block(record->key, 1 + at / 64, record->nonce, block);
  for (size_t i = 0; i < n; i++) to[i] = text[at + i] ^ block[i];
  record->at += n;
  return n;
}

void holdfast_record_start(struct holdfast_record *record, struct holdfast_records *records, size_t length,
                           uint8_t head[HOLDFAST_RECORD_LENGTH]) {
  head[0] = length >> 8;
  head[1] = length;
  start(record, records, TO_SERVER, length, head);
}

size_t holdfast_record_hide(struct holdfast_record *record, const uint8_t *text, uint8_t to[64]) {
  size_t n = crypt(record, text, to);
  holdfast_poly1305_add(&record->mac, to, n);
  return n;
}

/* Decrypts the record's text. False: it is not the server's next record. */
static bool open(struct holdfast_records *records, size_t length) {
  struct holdfast_record record;
  uint8_t made[HOLDFAST_RECORD_TAG], differs = 0;
  start(&record, records, TO_DEVICE, length, records->head);
  holdfast_poly1305_add(&record.mac, records->text, length);
  holdfast_record_end(&record, made);
  for (int i = 0; i < HOLDFAST_RECORD_TAG; i++) differs |= made[i] ^ records->tag[i];
  if (differs) return false;
  while (crypt(&record, records->text, records->text + record.at)) {}
  return true;
}

size_t holdfast_records_size(const struct holdfast_records *records) {
  if (records->have < HOLDFAST_RECORD_LENGTH) return 0;
  return (uint16_t)records->head[0] << 8 | records->head[1];
}

uint8_t *holdfast_records_place(struct holdfast_records *records, uint8_t *room, size_t *n) {
  size_t begin = 0, end = HOLDFAST_RECORD_LENGTH, have = records->have;
  uint8_t *part = records->head;
  if (records->broken) return 0;
  if (have >= HOLDFAST_RECORD_LENGTH) {
    size_t size = holdfast_records_size(records);
    if (!room) return 0;
    /* The core may have moved the bytes before it. */
    size_t here = have - HOLDFAST_RECORD_LENGTH;
    if (here > size) here = size;
    if (room < records->text) for (size_t i = 0; i < here; i++) room[i] = records->text[i];
    else if (room > records->text) while (here--) room[here] = records->text[here];
    records->text = part = room;
    begin = HOLDFAST_RECORD_LENGTH;
    end = begin + size;
    if (have >= end) {
      part = records->tag;
      begin = end;
      end += HOLDFAST_RECORD_TAG;
    }
  }
  if (*n > end - have) *n = end - have;
  return part + have - begin;
}

size_t holdfast_records_filled(struct holdfast_records *records, size_t n) {
  records->have += n;
  size_t size = holdfast_records_size(records);
  if (records->have == HOLDFAST_RECORD_LENGTH) records->broken = !size || size > records->most;
  if (records->have < HOLDFAST_RECORD_LENGTH || records->have < size + HOLDFAST_RECORD) return 0;
  records->have = 0;
  records->broken = !open(records, size);
  return records->broken ? 0 : size;
}
