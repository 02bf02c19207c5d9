/*
 * The records of suites 3 and 4, without a connection and without a core: their keys and their contents.
 * client-as/SEALING.md describes them; server/protocol/seal.ts is the other end. The library for Arduino has a copy.
 * The names have a prefix, as a vendor's library may use the same names.
 *
 * A record is opened in place, where its text is needed, and sent bytes are sealed on their way out: neither needs a
 * buffer.
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

/* Bytes of a record in addition to its text: its length and its tag. */
#define HOLDFAST_RECORD_LENGTH 2
#define HOLDFAST_RECORD_TAG 16
#define HOLDFAST_RECORD (HOLDFAST_RECORD_LENGTH + HOLDFAST_RECORD_TAG)
/* Most bytes of text in a record. */
#define HOLDFAST_RECORD_MOST 1024

/* Both directions of one connection, for the device. */
struct holdfast_records {
  uint32_t (*keys)[8]; /* to the server, to the device */
  uint64_t next[2];    /* numbers of the records */
  uint16_t most;       /* most bytes of text in a record that the device accepts */
  bool keyed, broken;
  /* The arriving record: its bytes so far, its parts, and the address of its text. */
  uint16_t have;
  uint8_t head[HOLDFAST_RECORD_LENGTH], tag[HOLDFAST_RECORD_TAG];
  uint8_t *text;
};

/* At the start of a connection. `keys` is memory for two keys, which is written only in whole words. */
void holdfast_records_begin(struct holdfast_records *records, uint32_t (*keys)[8]);

/* The server has proven its key: derives the keys of this connection from the greeting. `line` is the longest text that
 * the device accepts; `shared` is the shared secret of suite 4, 0 in suite 3. Needs about 650 bytes of stack. */
void holdfast_records_derive(struct holdfast_records *records, size_t line, const uint8_t key[32],
                             const uint8_t shared[32], const uint8_t *greeting, size_t length);

/* ---- Ephemeral keys: suite 4 ---- */

/* Computes the shared secret from the connection's secret and the server's key in the greeting. False: that key is
 * invalid; then the records are broken. Erases the secret. Needs about 1000 bytes of stack, and on a chip 0.1 s. */
bool holdfast_records_share(struct holdfast_records *records, uint8_t secret[32], const uint8_t *greeting,
                            size_t length, uint8_t shared[32]);

/* ---- Sending ---- */

struct holdfast_record {
  const uint32_t *key;
  uint32_t nonce[3];
  struct holdfast_poly1305 mac;
  size_t length, at;
};

/* Begins the next record to the server: writes its head. `length`: bytes of its text, 1 to HOLDFAST_RECORD_MOST. */
void holdfast_record_start(struct holdfast_record *record, struct holdfast_records *records, size_t length,
                           uint8_t head[HOLDFAST_RECORD_LENGTH]);
/* Encrypts the next bytes of the text, and returns how many; 0: there are no more. */
size_t holdfast_record_hide(struct holdfast_record *record, const uint8_t *text, uint8_t to[64]);
/* Writes the tag, which ends the record. */
void holdfast_record_end(struct holdfast_record *record, uint8_t tag[HOLDFAST_RECORD_TAG]);

/* ---- Receiving ---- */

/* Bytes of text of the arriving record; 0: not known yet. */
size_t holdfast_records_size(const struct holdfast_records *records);

/* Where to put the next bytes from the connection; lowers *n to how many. `room` is memory for the whole text, which
 * may be at another address each time. NULL: `room` is needed and missing, or the seal is broken. */
uint8_t *holdfast_records_place(struct holdfast_records *records, uint8_t *room, size_t *n);

/* Call it when n bytes were put there. If the record is complete and valid, returns the bytes of text at `room`; else
 * 0. `broken`: it is not the server's next record, and everything that arrives must be ignored. */
size_t holdfast_records_filled(struct holdfast_records *records, size_t n);

#ifdef __cplusplus
}
#endif

#endif
