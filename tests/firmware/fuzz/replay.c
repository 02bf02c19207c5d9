/*
 * Runs the firmware's C on bytes, for tests that know the right results: each line of stdin is a question, a word and
 * hex, and gets a line as its answer. Every piece of input is in memory of its exact size, so that the sanitizer
 * detects a read beyond its end.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "improv.h"
#include "settings.h"

struct piece {
  uint8_t *bytes;
  size_t length;
};

static struct piece next_piece(void) {
  const char *hex = strtok(NULL, " \n");
  struct piece piece = {0, hex && strcmp(hex, "-") != 0 ? strlen(hex) / 2 : 0};
  piece.bytes = malloc(piece.length);
  for (size_t i = 0; i < piece.length; i++) {
    unsigned byte;
    if (sscanf(hex + 2 * i, "%2x", &byte) != 1) exit(2);
    piece.bytes[i] = (uint8_t)byte;
  }
  return piece;
}

static void print_hex(const char *name, const void *bytes, size_t length) {
  printf(" %s=", name);
  for (size_t i = 0; i < length; i++) printf("%02x", ((const uint8_t *)bytes)[i]);
}

static void print_settings(const struct settings *s) {
  uint8_t tags[3];
  unsigned count = settings_missing(s, tags);
  print_hex("ssid", s->ssid, strlen(s->ssid));
  print_hex("password", s->password, strlen(s->password));
  print_hex("server", s->server, strlen(s->server));
  print_hex("id", s->id, strlen(s->id));
  print_hex("key", s->key, s->has_key ? 32 : 0);
  printf(" port=%u timeout=%u dialect=%u log=%u", s->port, s->timeout, s->dialect, s->log);
  print_hex("server2", s->server2, strlen(s->server2));
  print_hex("ip", s->ip, s->ip[0] ? sizeof s->ip : 0);
  print_hex("country", s->country, strlen(s->country));
  print_hex("missing", tags, count);
}

static void answer_sector(void) {
  struct piece sector = next_piece();
  struct settings settings;
  enum settings_state state = settings_decode(sector.bytes, &settings);
  printf("%s", settings_word(state));
  print_settings(&settings);
  free(sector.bytes);
}

static void answer_change(void) {
  struct piece before = next_piece(), changes = next_piece();
  struct piece sector = {malloc(SETTINGS_USED), 0};
  settings_clear(sector.bytes);
  /* settings_change needs the header of any sector with these fields. */
  memcpy(sector.bytes + SETTINGS_HEADER, before.bytes, before.length);
  sector.bytes[6] = (uint8_t)before.length;
  sector.bytes[7] = (uint8_t)(before.length >> 8);
  if (settings_change(sector.bytes, changes.bytes, changes.length)) {
    printf("changed");
    print_hex("sector", sector.bytes, SETTINGS_USED);
  } else {
    printf("refused");
  }
  free(before.bytes);
  free(changes.bytes);
  free(sector.bytes);
}

/* Pieces come a second apart, their bytes 1 ms apart. */
static void answer_frames(void) {
  struct improv_reader reader = {0};
  uint32_t now = (uint32_t)-20; /* it wraps in the middle */
  printf("frames");
  for (struct piece piece = next_piece();; piece = next_piece()) {
    for (size_t i = 0; i < piece.length; i++) {
      struct improv_command command;
      if (!improv_push(&reader, piece.bytes[i], now++)) continue;
      if (!improv_command(&reader, &command)) {
        printf(" other");
        continue;
      }
      char name[3];
      snprintf(name, sizeof name, "%02x", command.code);
      print_hex(name, command.data, command.length);
    }
    free(piece.bytes);
    if (piece.length == 0) return;
    now += 999;
  }
}

static void answer_wifi(void) {
  struct piece data = next_piece();
  uint8_t fields[IMPROV_WIFI_FIELDS];
  size_t length;
  bool good = improv_wifi(data.bytes, data.length, fields, &length);
  printf("%s", good ? "fields" : "malformed");
  if (good) print_hex("fields", fields, length);
  free(data.bytes);
}

static void print_frame(const uint8_t *frame, size_t length) {
  printf("frame");
  print_hex("bytes", frame, length);
}

static void answer_fields(void) {
  struct piece fields = next_piece();
  uint8_t *frame = malloc(IMPROV_FRAME);
  print_frame(frame, improv_fields(frame, fields.bytes, fields.length));
  free(frame);
  free(fields.bytes);
}

static void answer_byte(void) {
  struct piece piece = next_piece();
  uint8_t frame[IMPROV_FRAME];
  print_frame(frame, improv_byte(frame, piece.bytes[0], piece.bytes[1]));
  free(piece.bytes);
}

static void answer_texts(void) {
  const char *texts[8];
  struct piece pieces[8];
  unsigned count = 0;
  for (; count < 8; count++) {
    pieces[count] = next_piece();
    if (pieces[count].length == 0) break;
    pieces[count].bytes = realloc(pieces[count].bytes, pieces[count].length + 1);
    pieces[count].bytes[pieces[count].length] = 0;
    texts[count] = (const char *)pieces[count].bytes;
  }
  uint8_t *frame = malloc(IMPROV_FRAME);
  print_frame(frame, improv_texts(frame, IMPROV_GET_INFO, texts, count));
  free(frame);
  for (unsigned i = 0; i <= count && i < 8; i++) free(pieces[i].bytes);
}

int main(void) {
  static char line[65536];
  while (fgets(line, sizeof line, stdin)) {
    const char *word = strtok(line, " \n");
    if (!word) return 2;
    if (strcmp(word, "sector") == 0) answer_sector();
    else if (strcmp(word, "change") == 0) answer_change();
    else if (strcmp(word, "frames") == 0) answer_frames();
    else if (strcmp(word, "wifi") == 0) answer_wifi();
    else if (strcmp(word, "fields") == 0) answer_fields();
    else if (strcmp(word, "byte") == 0) answer_byte();
    else if (strcmp(word, "texts") == 0) answer_texts();
    else return 2;
    printf("\n");
  }
  return 0;
}
