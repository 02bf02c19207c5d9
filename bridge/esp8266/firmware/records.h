/*
 * The records of suites 3 and 4, without a connection and without a core: their keys, and what is in them.
 * client-as/SEALING.md says how; server/protocol/seal.ts is the other end. The library for Arduino has a copy of it. The
 * names have a prefix, as a vendor's library may have the same.
 *
 * A record is opened where its text is to be, and what is sent is sealed on its way out: neither needs a buffer.
 */
#ifndef HOLDFAST_RECORDS_H
#define HOLDFAST_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chacha20_poly1305.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a record beside its text: its length and its tag. */
#define HOLDFAST_RECORD_LENGTH 2
#define HOLDFAST_RECORD_TAG 16
#define HOLDFAST_RECORD (HOLDFAST_RECORD_LENGTH + HOLDFAST_RECORD_TAG)
/* Most bytes of text in one. */
#define HOLDFAST_RECORD_MOST 1024

/* Both directions of one connection, as the device sees them. */
struct holdfast_records {
  uint32_t (*keys)[8]; /* to the server, to the device */
  uint64_t next[2];    /* numbers of the records */
  uint16_t most;       /* bytes of text that the device takes in one */
  bool keyed, broken;
  /* The record that is arriving: so many bytes, its parts, and where its text is. */
  uint16_t have;
  uint8_t head[HOLDFAST_RECORD_LENGTH], tag[HOLDFAST_RECORD_TAG];
  uint8_t *text;
};

/* A connection begins. `keys` is room for two of them, and is written in whole words only. */
void holdfast_records_begin(struct holdfast_records *records, uint32_t (*keys)[8]);

/* The server has proven its key: makes the keys of this connection, of all that was said. `line` is the longest text of
 * a line that the device takes; `shared` what the ephemeral keys of suite 4 come to, 0 in suite 3. Needs about 650 bytes of
 * stack. */
void holdfast_records_derive(struct holdfast_records *records, size_t line, const uint8_t key[32],
                             const uint8_t shared[32], const uint8_t *greeting, size_t length);

/* ---- Ephemeral keys: suite 4 ---- */

/* What a connection's secret and all that was said come to. False: the server's key shares no secret; then the records are
 * broken. The secret is forgotten. Needs about 1000 bytes of stack, and on a chip 0.1 s. */
bool holdfast_records_share(struct holdfast_records *records, uint8_t secret[32], const uint8_t *greeting,
                            size_t length, uint8_t shared[32]);

/* ---- What is sent ---- */

struct holdfast_record {
  const uint32_t *key;
  uint32_t nonce[3];
  struct holdfast_poly1305 mac;
  size_t length, at;
};

/* The next record to the server: writes what goes out first. `length`: bytes of its text, 1 to HOLDFAST_RECORD_MOST. */
void holdfast_record_start(struct holdfast_record *record, struct holdfast_records *records, size_t length,
                           uint8_t head[HOLDFAST_RECORD_LENGTH]);
/* Writes the next bytes, made of the text, and returns how many; 0: that was all. */
size_t holdfast_record_hide(struct holdfast_record *record, const uint8_t *text, uint8_t to[64]);
/* Writes what goes out last. */
void holdfast_record_end(struct holdfast_record *record, uint8_t tag[HOLDFAST_RECORD_TAG]);

/* ---- What arrives ---- */

/* Bytes of text of the record that is arriving; 0: nobody knows yet. */
size_t holdfast_records_size(const struct holdfast_records *records);

/* Where the next bytes from the connection go, and how many of these n. `room` is where the text is to be, with room for
 * all of it: it may be another place each time. NULL: there is none, and there is to be; or the seal is broken. */
uint8_t *holdfast_records_place(struct holdfast_records *records, uint8_t *room, size_t *n);

/* They are there. Returns how many bytes of text are at `room` now: those of a record that is complete, and was opened.
 * `broken`: it is not the server's next one, and nothing that arrives means anything any more. */
size_t holdfast_records_filled(struct holdfast_records *records, size_t n);

#ifdef __cplusplus
}
#endif

#endif
