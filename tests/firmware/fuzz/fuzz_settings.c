/* libFuzzer: any sector, and any change to one. Ends the program when a promise of settings.h is broken. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "settings.h"

static void require(bool good) {
  if (!good) abort();
}

static void check_text(const char *text, size_t size) { require(memchr(text, 0, size) != NULL); }

static void check_settings(const struct settings *s) {
  check_text(s->ssid, sizeof s->ssid);
  check_text(s->password, sizeof s->password);
  check_text(s->server, sizeof s->server);
  check_text(s->server2, sizeof s->server2);
  check_text(s->id, sizeof s->id);
  require(!s->country[0] || (s->country[1] && !s->country[2]));
  if (s->ip[0]) {
    uint32_t in_order[4]; /* as numbers */
    for (int i = 0; i < 4; i++) in_order[i] = __builtin_bswap32(s->ip[i]);
    uint32_t own = in_order[0], mask = in_order[1], gateway = in_order[2], dns = in_order[3];
    require(mask && (mask | (mask - 1)) == 0xffffffff && (own & ~mask) && (own | mask) != 0xffffffff);
    require(!gateway || ((gateway & mask) == (own & mask) && gateway != own));
    require(dns != own);
  }
  require(s->port >= 1 && s->timeout >= 100 && s->timeout <= 3600000);
  require(s->dialect == 1 || s->dialect == 2);
  require(!(s->has_key && s->dialect == 1));
}

/* A field that is not among the changes must be the same in the new sector. */
static void check_kept(const uint8_t *old, size_t old_length, const uint8_t *changes, size_t changes_length,
                       const uint8_t *now, size_t now_length) {
  for (size_t at = 0; at < old_length; at += 2u + old[at + 1]) {
    bool named = false, found = false;
    for (size_t i = 0; i < changes_length; i += 2u + changes[i + 1]) named |= changes[i] == old[at];
    for (size_t i = 0; i < now_length; i += 2u + now[i + 1]) {
      found |= now[i] == old[at] && memcmp(now + i, old + at, 2u + old[at + 1]) == 0;
    }
    require(named || found);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  /* The first byte says where the sector ends and the change begins, the second whether the checksum is corrected:
   * otherwise hardly any input would get past it. */
  size_t cut = (size - 2) * data[0] / 255;
  const uint8_t *changes = data + 2 + cut;
  size_t changes_length = size - 2 - cut;
  uint8_t *sector = malloc(SETTINGS_USED);
  memset(sector, 0xff, SETTINGS_USED);
  memcpy(sector, data + 2, cut < SETTINGS_USED ? cut : SETTINGS_USED);
  size_t length = sector[6] | sector[7] << 8;
  if ((data[1] & 1) && length <= SETTINGS_MOST) {
    uint32_t crc = crc32(crc32(0, sector + 4, 4), sector + SETTINGS_HEADER, length);
    for (int i = 0; i < 4; i++) sector[8 + i] = (uint8_t)(crc >> 8 * i);
  }

  struct settings settings;
  enum settings_state state = settings_decode(sector, &settings);
  check_settings(&settings);
  if (state != SETTINGS_OK) {
    require(settings.ssid[0] == 0 && settings.key[0] == 0 && settings.port == 8123);
    settings_clear(sector);
    require(settings_decode(sector, &settings) == SETTINGS_OK);
  }
  uint8_t old[SETTINGS_USED];
  memcpy(old, sector, sizeof old);
  uint8_t *exact = malloc(changes_length);
  memcpy(exact, changes, changes_length);
  if (settings_change(sector, exact, changes_length)) {
    require(settings_decode(sector, &settings) == SETTINGS_OK);
    check_settings(&settings);
    size_t old_length, now_length;
    const uint8_t *old_fields = settings_fields(old, &old_length);
    const uint8_t *now_fields = settings_fields(sector, &now_length);
    check_kept(old_fields, old_length, exact, changes_length, now_fields, now_length);
    int before = -1;
    for (size_t at = 0; at < now_length; at += 2u + now_fields[at + 1]) {
      require(now_fields[at] > before);
      before = now_fields[at];
    }
    /* The same change again must change nothing. */
    memcpy(old, sector, sizeof old);
    require(settings_change(sector, exact, changes_length) && memcmp(old, sector, sizeof old) == 0);
  }
  free(exact);
  free(sector);
  return 0;
}
