/*
 * The settings sector: the C side of settings.ts, and to the bit like it (tests/vectors/settings). SETTINGS.md
 * says what the fields mean.
 */
#ifndef HOLDFAST_SETTINGS_H
#define HOLDFAST_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the sector's 4,096 bytes these are in use, header and fields; no other has to be read. */
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
  SETTINGS_LINE, /* of an application only: in the sector it is one of another version */
  SETTINGS_SERVER2,
  SETTINGS_IP,
  SETTINGS_COUNTRY,
  SETTINGS_SUITE
};

#define SETTINGS_MOST_LINE 512
#define SETTINGS_LEAST_LINE 121
#define SETTINGS_LEAST_LINE_EPHEMERAL 153 /* in suite 4 */

/* The values, or their defaults. Texts end with NUL; one that is absent is empty. */
struct settings {
  char ssid[33];
  char password[65];
  char server[65];
  char server2[65]; /* or none: with the same port */
  char id[65];
  char country[3]; /* two letters, or none */
  uint8_t key[32];
  bool has_key;
  bool log;
  uint8_t dialect;
  uint8_t suite;    /* with a key: 3, or 4, with ephemeral keys */
  uint16_t port;
  uint16_t line;    /* bytes of the longest text; not stored */
  uint32_t timeout; /* ms */
  /* Address, netmask, gateway and DNS, a.b.c.d as the bytes of a word from the lowest; 0: none, and DHCP. */
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

/* What is spoken: 0 without a key. */
uint8_t settings_suite(const struct settings *settings);

/* The word for a state: "ok", "blank", or what is damaged. */
const char *settings_word(enum settings_state state);

/* Reads SETTINGS_USED bytes. `settings` is defaults unless the result is SETTINGS_OK. */
enum settings_state settings_decode(const uint8_t *sector, struct settings *settings);

/* Reads fields alone. False: one is malformed or out of range, or they do not go together. */
bool settings_decode_fields(const uint8_t *fields, size_t length, struct settings *settings);

/* What an application is configured with, over what is stored: a field that is not there stays as it is, but an
 * ssid without a password is an open network, one without an address has DHCP, and a server without another one
 * has none. False: as above, or there is no server or no id, or the line is too short for the suite; `settings` is of
 * no use then. */
bool settings_configure(const uint8_t *fields, size_t length, struct settings *settings);

/* The fields of a sector that is SETTINGS_OK, and how many bytes they are. */
const uint8_t *settings_fields(const uint8_t *sector, size_t *length);

/* Makes the SETTINGS_USED bytes an empty sector. */
void settings_clear(uint8_t *sector);

/* Changes a sector that is SETTINGS_OK: fields that are not named stay, one of length 0 is removed. False:
 * refused, and the sector's bytes are of no use any more. */
bool settings_change(uint8_t *sector, const uint8_t *changes, size_t length);

/* What a device with WiFi of its own can not do without, and lacks: tags in increasing order, at most 3, to
 * `tags`. Returns how many. */
unsigned settings_missing(const struct settings *settings, uint8_t *tags);

#endif
