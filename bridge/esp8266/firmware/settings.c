#include "settings.h"

#include "bytes.h"
#include "crc32.h"

#define VERSION 1

static const uint8_t magic[4] = {'H', 'F', 'S', 'T'};

static uint32_t little(const uint8_t *bytes, size_t length) {
  uint32_t value = 0;
  while (length--) value = value << 8 | bytes[length];
  return value;
}

static void put_little(uint8_t *bytes, size_t length, uint32_t value) {
  for (; length--; value >>= 8) *bytes++ = (uint8_t)value;
}

/* ---- Values ---- */

/* Bytes of the UTF-8 character at the front; 0: it is malformed, or a control character. */
static size_t character(const uint8_t *text, size_t length) {
  uint8_t first = text[0];
  if (first < 0x80) return first >= 0x20 && first != 0x7f;
  size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || size > length) return 0;
  /* The second byte's limits exclude overlong forms, surrogates, and characters beyond U+10FFFF. */
  uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  uint8_t most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (text[1] < least || text[1] > most) return 0;
  for (size_t i = 2; i < size; i++) {
    if ((text[i] & 0xc0) != 0x80) return 0;
  }
  return size;
}

/* Copies a text and ends it with NUL. */
static bool take_text(const uint8_t *value, size_t length, size_t least, size_t most, char *text) {
  if (length < least || length > most) return false;
  for (size_t at = 0; at < length;) {
    size_t size = character(value + at, length - at);
    if (size == 0) return false;
    at += size;
  }
  bytes_copy(text, value, length);
  text[length] = 0;
  return true;
}

static bool is_server(const char *text) {
  for (; *text; text++) {
    char c = *text;
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

static bool is_country(const char *text) {
  for (; *text; text++) {
    if (*text < 'A' || *text > 'Z') return false;
  }
  return true;
}

static bool take_number(const uint8_t *value, size_t length, size_t size, uint32_t least,
                        uint32_t most, uint32_t *number) {
  if (length != size) return false;
  *number = little(value, size);
  return *number >= least && *number <= most;
}

static uint32_t big(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Whether it can be a host's: not "this network", loopback, multicast or reserved. */
static bool is_host(uint32_t address) {
  uint32_t first = address >> 24;
  return first >= 1 && first <= 223 && first != 127;
}

/* Whether it is neither the network's own address nor its broadcast address. `hosts`: the bits of the host's number. */
static bool is_within(uint32_t address, uint32_t hosts) {
  uint32_t host = address & hosts;
  return host && host != hosts;
}

/* Address, netmask, gateway and DNS: ipv4.ts has the same checks, with messages. */
static bool take_ip(const uint8_t *value, size_t length, uint32_t ip[4]) {
  if (length != 16) return false;
  for (size_t i = 0; i < 4; i++) ip[i] = little(value + 4 * i, 4);
  uint32_t own = big(value), hosts = ~big(value + 4), gateway = big(value + 8), dns = big(value + 12);
  if (!is_host(own) || !is_within(own, hosts)) return false;
  if ((hosts & (hosts + 1)) || hosts < 3 || hosts == 0xffffffff) return false;
  if (gateway && (!is_host(gateway) || !is_within(gateway, hosts))) return false;
  if (gateway && (gateway == own || ((gateway ^ own) & ~hosts))) return false;
  return !dns || (is_host(dns) && dns != own);
}

static bool take_value(uint8_t tag, const uint8_t *value, size_t length, struct settings *s) {
  uint32_t number = 0;
  bool good = true;
  switch (tag) {
    case SETTINGS_SSID: return take_text(value, length, 1, 32, s->ssid);
    case SETTINGS_PASSWORD:
      s->password[0] = 0;
      return length == 0 || take_text(value, length, 8, 64, s->password);
    case SETTINGS_SERVER: return take_text(value, length, 1, 64, s->server) && is_server(s->server);
    case SETTINGS_SERVER2: return take_text(value, length, 1, 64, s->server2) && is_server(s->server2);
    case SETTINGS_COUNTRY: return take_text(value, length, 2, 2, s->country) && is_country(s->country);
    case SETTINGS_IP: return take_ip(value, length, s->ip);
    case SETTINGS_ID: return take_text(value, length, 1, 64, s->id);
    case SETTINGS_KEY:
      if (length != sizeof s->key) return false;
      bytes_copy(s->key, value, length);
      s->has_key = true;
      return true;
    case SETTINGS_PORT:
      good = take_number(value, length, 2, 1, 65535, &number);
      s->port = (uint16_t)number;
      return good;
    case SETTINGS_TIMEOUT: return take_number(value, length, 4, 100, 3600000, &s->timeout);
    case SETTINGS_DIALECT:
      good = take_number(value, length, 1, 1, 2, &number);
      s->dialect = (uint8_t)number;
      return good;
    case SETTINGS_SUITE:
      good = take_number(value, length, 1, 3, 4, &number);
      s->suite = (uint8_t)number;
      return good;
    case SETTINGS_LOG:
      good = take_number(value, length, 1, 0, 1, &number);
      s->log = number == 1;
      return good;
    default: return true; /* of another version: kept, and ignored */
  }
}

/* ---- Fields ---- */

/* Bytes of the field at the front; 0: it does not end within `length`. */
static size_t field_size(const uint8_t *fields, size_t length) {
  if (length < 2) return 0;
  size_t size = 2 + (size_t)fields[1];
  return size <= length ? size : 0;
}

/* Whether all fields are complete, and none is given twice. */
static bool well_formed(const uint8_t *fields, size_t length) {
  uint32_t seen[8] = {0};
  for (size_t at = 0; at < length;) {
    size_t size = field_size(fields + at, length - at);
    uint8_t tag = fields[at];
    uint32_t bit = (uint32_t)1 << (tag & 31);
    if (size == 0 || (seen[tag >> 5] & bit)) return false;
    seen[tag >> 5] |= bit;
    at += size;
  }
  return true;
}

static void set_defaults(struct settings *settings) {
  bytes_fill(settings, 0, sizeof *settings);
  settings->port = 8123;
  settings->timeout = 2000;
  settings->dialect = 2;
  settings->suite = 3;
  settings->line = SETTINGS_MOST_LINE;
}

bool settings_decode_fields(const uint8_t *fields, size_t length, struct settings *settings) {
  set_defaults(settings);
  bool good = well_formed(fields, length);
  for (size_t at = 0; good && at < length; at += field_size(fields + at, length - at)) {
    good = take_value(fields[at], fields + at + 2, fields[at + 1], settings);
  }
  if (settings->has_key && settings->dialect == 1) good = false; /* dialect 1 has no keys */
  if (!good) set_defaults(settings);
  return good;
}

bool settings_configure(const uint8_t *fields, size_t length, struct settings *settings) {
  if (!well_formed(fields, length)) return false;
  for (size_t at = 0; at < length; at += field_size(fields + at, length - at)) {
    if (fields[at] == SETTINGS_SSID) settings->password[0] = 0, settings->ip[0] = 0;
    if (fields[at] == SETTINGS_SERVER) settings->server2[0] = 0;
  }
  for (size_t at = 0; at < length; at += field_size(fields + at, length - at)) {
    uint32_t line = 0;
    if (fields[at] != SETTINGS_LINE) {
      if (!take_value(fields[at], fields + at + 2, fields[at + 1], settings)) return false;
    } else if (take_number(fields + at + 2, fields[at + 1], 2, SETTINGS_LEAST_LINE, SETTINGS_MOST_LINE, &line)) {
      settings->line = (uint16_t)line;
    } else {
      return false;
    }
  }
  if (settings->dialect == 1) settings->has_key = false; /* dialect 1 has no keys */
  if (settings_suite(settings) == 4 && settings->line < SETTINGS_LEAST_LINE_EPHEMERAL) return false;
  return settings->server[0] && settings->id[0];
}

uint8_t settings_suite(const struct settings *settings) {
  return settings->has_key ? settings->suite : 0;
}

/* ---- The sector ---- */

const char *settings_word(enum settings_state state) {
  switch (state) {
    case SETTINGS_OK: return "ok";
    case SETTINGS_BLANK: return "blank";
    case SETTINGS_MAGIC: return "magic";
    case SETTINGS_VERSION: return "version";
    case SETTINGS_LENGTH: return "length";
    case SETTINGS_CHECKSUM: return "checksum";
    case SETTINGS_FIELDS: break;
  }
  return "fields";
}

static size_t length_of(const uint8_t *sector) { return little(sector + 6, 2); }

static uint32_t checksum(const uint8_t *sector, size_t length) {
  return crc32(crc32(0, sector + 4, 4), sector + SETTINGS_HEADER, length);
}

enum settings_state settings_decode(const uint8_t *sector, struct settings *settings) {
  set_defaults(settings);
  size_t blank = 0;
  while (blank < SETTINGS_USED && sector[blank] == 0xff) blank++;
  if (blank == SETTINGS_USED) return SETTINGS_BLANK;
  if (bytes_compare(sector, magic, sizeof magic) != 0) return SETTINGS_MAGIC;
  if (little(sector + 4, 2) != VERSION) return SETTINGS_VERSION;
  size_t length = length_of(sector);
  if (length > SETTINGS_MOST) return SETTINGS_LENGTH;
  if (little(sector + 8, 4) != checksum(sector, length)) return SETTINGS_CHECKSUM;
  bool good = settings_decode_fields(sector + SETTINGS_HEADER, length, settings);
  return good ? SETTINGS_OK : SETTINGS_FIELDS;
}

const uint8_t *settings_fields(const uint8_t *sector, size_t *length) {
  *length = length_of(sector);
  return sector + SETTINGS_HEADER;
}

/* Writes the header and the padding around the fields. */
static void seal(uint8_t *sector, size_t length) {
  bytes_copy(sector, magic, sizeof magic);
  put_little(sector + 4, 2, VERSION);
  put_little(sector + 6, 2, (uint32_t)length);
  put_little(sector + 8, 4, checksum(sector, length));
  bytes_fill(sector + SETTINGS_HEADER + length, 0xff, SETTINGS_MOST - length);
}

void settings_clear(uint8_t *sector) { seal(sector, 0); }

/* Removes the field with this tag, if there is one. Returns the new length. */
static size_t take_out(uint8_t *fields, size_t length, uint8_t tag) {
  for (size_t at = 0; at < length;) {
    size_t size = field_size(fields + at, length - at);
    if (fields[at] == tag) {
      bytes_move(fields + at, fields + at + size, length - at - size);
      return length - size;
    }
    at += size;
  }
  return length;
}

/* Inserts a field before the first one with a higher tag. There must be room. */
static void put_in(uint8_t *fields, size_t length, const uint8_t *field, size_t size) {
  size_t at = 0;
  while (at < length && fields[at] < field[0]) at += field_size(fields + at, length - at);
  bytes_move(fields + at + size, fields + at, length - at);
  bytes_copy(fields + at, field, size);
}

/* Sorts well-formed fields by their tags. */
static void sort(uint8_t *fields, size_t length) {
  uint8_t field[2 + 255];
  for (size_t sorted = 0; sorted < length;) {
    size_t size = field_size(fields + sorted, length - sorted);
    bytes_copy(field, fields + sorted, size);
    put_in(fields, sorted, field, size);
    sorted += size;
  }
}

bool settings_change(uint8_t *sector, const uint8_t *changes, size_t length) {
  uint8_t *fields = sector + SETTINGS_HEADER;
  size_t have = length_of(sector);
  if (have > SETTINGS_MOST || !well_formed(fields, have) || !well_formed(changes, length)) return false;
  sort(fields, have);
  size_t size;
  /* First removes all, then inserts all: so there is always enough room if there is at the end. */
  for (size_t at = 0; at < length; at += size) {
    size = field_size(changes + at, length - at);
    have = take_out(fields, have, changes[at]);
  }
  for (size_t at = 0; at < length; at += size) {
    size = field_size(changes + at, length - at);
    if (size == 2) continue; /* removed */
    if (have + size > SETTINGS_MOST) return false;
    put_in(fields, have, changes + at, size);
    have += size;
  }
  struct settings settings;
  if (!settings_decode_fields(fields, have, &settings)) return false;
  seal(sector, have);
  return true;
}

unsigned settings_missing(const struct settings *settings, uint8_t *tags) {
  unsigned count = 0;
  if (!settings->ssid[0]) tags[count++] = SETTINGS_SSID;
  if (!settings->server[0]) tags[count++] = SETTINGS_SERVER;
  if (!settings->id[0]) tags[count++] = SETTINGS_ID;
  return count;
}
