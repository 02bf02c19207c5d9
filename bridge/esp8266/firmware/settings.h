/*
 * The settings sector: the C side of settings.ts, with exactly the same results (tests/vectors/settings).
 * SETTINGS.md explains the fields.
 */
#ifndef HOLDFAST_SETTINGS_H
#define HOLDFAST_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of the sector that are used, of 4,096: header and fields. The others need not be read. */
#define SETTINGS_USED 512
#define SETTINGS_HEADER 12
#define SETTINGS_MOST (SETTINGS_USED - SETTINGS_HEADER)

enum settings_tag {
  SETTINGS_SSID = 1,
  SETTINGS_PASSWORD,
  SETTINGS_SERVER,
  SETTINGS_PORT,
  SETTINGS_ID,
  SETTINGS_KEY,
  SETTINGS_TIMEOUT,
  SETTINGS_DIALECT,
  SETTINGS_LOG,
  SETTINGS_LINE, /* only from an application: in the sector it counts as a field of another version */
  SETTINGS_SERVER2,
  SETTINGS_IP,
  SETTINGS_COUNTRY,
  SETTINGS_SUITE
};

#define SETTINGS_MOST_LINE 512
#define SETTINGS_LEAST_LINE 121
#define SETTINGS_LEAST_LINE_EPHEMERAL 153 /* in suite 4 */

/* The values, or their defaults. Texts end with NUL; a missing one is empty. */
struct settings {
  char ssid[33];
  char password[65];
  char server[65];
  char server2[65]; /* with the same port; or empty */
  char id[65];
  char country[3]; /* two letters, or empty */
  uint8_t key[32];
  bool has_key;
  bool log;
  uint8_t dialect;
  uint8_t suite;    /* to use with a key: 3, or 4 with ephemeral keys */
  uint16_t port;
  uint16_t line;    /* bytes of the longest text; not stored */
  uint32_t timeout; /* ms */
  /* Address, netmask, gateway and DNS, a.b.c.d as the bytes of a word from the lowest; address 0: DHCP. */
  uint32_t ip[4];
};

enum settings_state {
  SETTINGS_OK,
  SETTINGS_BLANK,
  /* Damaged: */
  SETTINGS_MAGIC,
  SETTINGS_VERSION,
  SETTINGS_LENGTH,
  SETTINGS_CHECKSUM,
  SETTINGS_FIELDS
};

/* The suite: 0 without a key. */
uint8_t settings_suite(const struct settings *settings);

/* The word for a state: "ok", "blank", or the damaged part. */
const char *settings_word(enum settings_state state);

/* Reads SETTINGS_USED bytes. `settings` gets the defaults unless the result is SETTINGS_OK. */
enum settings_state settings_decode(const uint8_t *sector, struct settings *settings);

/* Reads only fields. False: one is malformed or out of range, or they do not go together. */
bool settings_decode_fields(const uint8_t *fields, size_t length, struct settings *settings);

/* Applies an application's fields over the stored settings. Missing fields stay as they are, with three exceptions: an
 * ssid without a password is an open network, an ssid without an address means DHCP, and a server without `server2`
 * removes that. False: as above, or there is no server or no id, or the line is too short for the suite; `settings` is
 * then undefined. */
bool settings_configure(const uint8_t *fields, size_t length, struct settings *settings);

/* The fields of a sector that is SETTINGS_OK, and their length in bytes. */
const uint8_t *settings_fields(const uint8_t *sector, size_t *length);

/* Writes an empty sector of SETTINGS_USED bytes. */
void settings_clear(uint8_t *sector);

/* Changes a sector that is SETTINGS_OK: fields that are not named stay, a field of length 0 is removed. False: the
 * changes are invalid, and the sector's bytes are then undefined. */
bool settings_change(uint8_t *sector, const uint8_t *changes, size_t length);

/* The required fields of a device with WiFi that are missing: writes at most 3 tags, in increasing order, to
 * `tags`. Returns how many. */
unsigned settings_missing(const struct settings *settings, uint8_t *tags);

#endif
