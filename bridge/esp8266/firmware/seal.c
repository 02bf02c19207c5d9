#include "seal.h"

#include "bytes.h"
#include "core.h"
#include "port.h"
#include "words.h"
#include "x25519.h"

static uint32_t keys[2][8] IN_WORDS;
static struct holdfast_records records;
static uint8_t secret[HOLDFAST_X25519_BYTES]; /* of suite 4, from the hello to the welcome */
static uint8_t suite;
static bool proven;

void seal_begin(uint8_t wanted) {
  suite = wanted;
  proven = false;
  holdfast_records_begin(&records, keys);
}

bool seal_ephemeral(uint8_t key[32]) {
  if (suite != SUITE_EPHEMERAL) return false;
  for (unsigned i = 0; i < sizeof secret; i += 4) {
    uint32_t word = port_random();
    for (unsigned j = 0; j < 4; j++) secret[i + j] = (uint8_t)(word >> 8 * j);
  }
  holdfast_x25519_public(secret, key);
  return true;
}

void seal_derive(const uint8_t key[32], const uint8_t *greeting, size_t length) {
  if (!suite || records.keyed || records.broken) return; /* it was an HMAC for the application */
  uint8_t shared[32];
  bool shares = suite == SUITE_EPHEMERAL;
  if (shares && !holdfast_records_share(&records, secret, greeting, length, shared)) return;
  holdfast_records_derive(&records, core_get(R_LINE), key, shares ? shared : 0, greeting, length);
}

void seal_send(const uint8_t *piece, size_t length) {
  if (!proven) {
    proven = records.keyed; /* then this piece is the proof */
    port_tcp_send(piece, length);
    return;
  }
  struct holdfast_record record;
  uint8_t bytes[64];
  holdfast_record_start(&record, &records, length, bytes);
  port_tcp_send(bytes, HOLDFAST_RECORD_LENGTH);
  for (size_t n; (n = holdfast_record_hide(&record, piece, bytes));) port_tcp_send(bytes, n);
  holdfast_record_end(&record, bytes);
  port_tcp_send(bytes, HOLDFAST_RECORD_TAG);
}

/* Receives one record, or a part of it. */
static size_t receive_record(const uint8_t *bytes, size_t length, uint32_t now) {
  size_t taken = 0;
  while (taken < length) {
    size_t size = holdfast_records_size(&records), n = length - taken;
    uint8_t *to = holdfast_records_place(&records, size ? core_input(size) : 0, &n);
    if (!to) break; /* later */
    bytes_copy(to, bytes + taken, n);
    taken += n;
    size = holdfast_records_filled(&records, n);
    if (records.broken) return length;
    if (!size) continue;
    core_received(size, now);
    break;
  }
  return taken;
}

size_t seal_receive(const uint8_t *bytes, size_t length, uint32_t now) {
  if (records.broken) return length;
  if (records.keyed) return receive_record(bytes, length, now);
  if (suite) {
    /* Only to the end of the welcome. */
    size_t n = 0;
    while (n < length && bytes[n] != '\n') n++;
    if (n < length) length = n + 1;
  }
  return core_receive(bytes, length, now);
}

bool seal_broken(void) {
  return records.broken;
}
