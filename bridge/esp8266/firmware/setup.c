#include "setup.h"

#include "bytes.h"
#include "console.h"
#include "port.h"
#include "version.h"
#include "words.h"

#define SECTOR 0xFA000u

enum improv_state setup_wifi = IMPROV_READY;

/* Frame and sector of a command are on the stack. Its 4 KB are enough for one such function within another, but not if
 * the compiler merges all of them. */
#define APART __attribute__((noinline))

union sector {
  uint32_t words[SETTINGS_USED / 4];
  uint8_t bytes[SETTINGS_USED];
};

static struct improv_reader reader IN_WORDS;
static bool restart;

static enum settings_state read_sector(union sector *sector, struct settings *settings) {
  if (!port_flash_read(SECTOR, sector->words, sizeof *sector)) bytes_fill(sector->bytes, 0, sizeof *sector);
  return settings_decode(sector->bytes, settings);
}

enum settings_state setup_read(struct settings *settings) {
  union sector sector;
  return read_sector(&sector, settings);
}

/* Reads a sector to change or to show it; an invalid one becomes an empty one. */
static APART void read_good(union sector *sector) {
  struct settings settings;
  if (read_sector(sector, &settings) != SETTINGS_OK) settings_clear(sector->bytes);
}

static APART bool is_written(const union sector *sector) {
  uint32_t piece[16];
  for (size_t at = 0; at < sizeof *sector; at += sizeof piece) {
    if (!port_flash_read(SECTOR + at, piece, sizeof piece)) return false;
    if (bytes_compare(piece, sector->bytes + at, sizeof piece)) return false;
  }
  return true;
}

static APART void answer_byte(enum improv_type type, uint8_t byte) {
  uint8_t frame[IMPROV_FRAME];
  port_serial_write(frame, improv_byte(frame, type, byte));
}

static void answer_error(enum improv_error error) {
  answer_byte(IMPROV_ERROR, error);
}

static APART void answer_texts(uint8_t code, const char *const *texts, unsigned count) {
  uint8_t frame[IMPROV_FRAME];
  port_serial_write(frame, improv_texts(frame, code, texts, count));
}

static void answer_nothing(uint8_t code) {
  answer_texts(code, 0, 0);
}

static APART void answer_fields(void) {
  union sector sector;
  uint8_t frame[IMPROV_FRAME];
  size_t length;
  read_good(&sector);
  const uint8_t *fields = settings_fields(sector.bytes, &length);
  port_serial_write(frame, improv_fields(frame, fields, length));
}

/* Changes fields in flash, and reads them back. */
static APART enum improv_error change(const uint8_t *fields, size_t length) {
  union sector sector;
  read_good(&sector);
  if (!settings_change(sector.bytes, fields, length)) return IMPROV_INVALID;
  if (!port_flash_erase(SECTOR) || !port_flash_write(SECTOR, sector.words, sizeof sector) || !is_written(&sector)) {
    return IMPROV_FAILED;
  }
  restart = true;
  return IMPROV_NO_ERROR;
}

static void set(uint8_t code, const uint8_t *fields, size_t length) {
  enum improv_error error = change(fields, length);
  answer_error(error);
  if (!error) answer_nothing(code);
}

static APART void set_wifi(const uint8_t *data, size_t length) {
  uint8_t fields[IMPROV_WIFI_FIELDS];
  size_t fields_length;
  if (improv_wifi(data, length, fields, &fields_length)) set(IMPROV_WIFI, fields, fields_length);
  else answer_error(IMPROV_INVALID);
}

static void found(const char *ssid, int rssi, bool locked) {
  if (!ssid) {
    answer_nothing(IMPROV_SCAN);
    return;
  }
  char text[6], *end = text + sizeof text - 1, *at = end;
  unsigned strength = rssi < 0 ? -rssi : 0;
  *at = 0;
  do *--at = '0' + strength % 10;
  while (strength /= 10);
  *--at = '-';
  const char *texts[] = { ssid, at, locked ? "YES" : "NO" };
  answer_texts(IMPROV_SCAN, texts, 3);
}

static void carry_out(const struct improv_command *command) {
  static const char *const info[] = { "Holdfast", FIRMWARE_VERSION, "ESP8266", port_board };
  switch (command->code) {
    case IMPROV_WIFI:
      set_wifi(command->data, command->length);
      break;
    case IMPROV_SET:
      set(IMPROV_SET, command->data, command->length);
      break;
    case IMPROV_GET_STATE:
      answer_byte(IMPROV_STATE, setup_wifi);
      if (setup_wifi == IMPROV_JOINED) answer_nothing(IMPROV_GET_STATE);
      break;
    case IMPROV_GET_INFO:
      answer_texts(IMPROV_GET_INFO, info, 4);
      break;
    case IMPROV_SCAN:
      if (!port_wifi_scan(found)) answer_error(IMPROV_FAILED);
      break;
    case IMPROV_GET:
      answer_fields();
      break;
    default:
      answer_error(command->code ? IMPROV_UNKNOWN_COMMAND : IMPROV_INVALID);
  }
}

void setup_serial(const uint8_t *bytes, size_t length, uint32_t now) {
  for (; length; length--) {
    struct improv_command command;
    if (improv_push(&reader, *bytes++, now) && improv_command(&reader, &command)) carry_out(&command);
  }
}

void setup_run(void) {
  if (!restart) return;
  console_line("settings changed: restarting");
  port_restart();
}
