#include "setup.h"

#include "bytes.h"
#include "console.h"
#include "port.h"
#include "version.h"

#define SECTOR 0xFA000u

enum improv_state setup_wifi = IMPROV_READY;

static struct improv_reader reader;
static union {
  uint32_t words[SETTINGS_USED / 4];
  uint8_t bytes[SETTINGS_USED];
} sector;
static uint8_t frame[IMPROV_FRAME];
static bool restart;

static enum settings_state read_sector(struct settings *settings) {
  if (!port_flash_read(SECTOR, sector.words, sizeof sector)) bytes_fill(sector.bytes, 0, sizeof sector);
  return settings_decode(sector.bytes, settings);
}

enum settings_state setup_read(struct settings *settings) {
  return read_sector(settings);
}

static void answer(size_t length) {
  port_serial_write(frame, length);
}

static void answer_error(enum improv_error error) {
  answer(improv_byte(frame, IMPROV_ERROR, error));
}

/* Writes changed fields, and reads them back. */
static enum improv_error change(const uint8_t *fields, size_t length) {
  struct settings settings;
  if (read_sector(&settings) != SETTINGS_OK) settings_clear(sector.bytes);
  if (!settings_change(sector.bytes, fields, length)) return IMPROV_INVALID;
  uint32_t written[SETTINGS_USED / 4];
  if (!port_flash_erase(SECTOR) || !port_flash_write(SECTOR, sector.words, sizeof sector) ||
      !port_flash_read(SECTOR, written, sizeof written) ||
      bytes_compare(written, sector.words, sizeof written)) {
    return IMPROV_FAILED;
  }
  restart = true;
  return IMPROV_NO_ERROR;
}

static void set(uint8_t code, const uint8_t *fields, size_t length) {
  enum improv_error error = change(fields, length);
  answer_error(error);
  if (error) return;
  answer(improv_result(frame, code, 0, 0));
}

static void found(const char *ssid, int rssi, bool locked) {
  if (!ssid) {
    answer(improv_result(frame, IMPROV_SCAN, 0, 0));
    return;
  }
  char text[6], *end = text + sizeof text - 1, *at = end;
  unsigned strength = rssi < 0 ? -rssi : 0;
  *at = 0;
  do *--at = '0' + strength % 10;
  while (strength /= 10);
  *--at = '-';
  const char *texts[] = { ssid, at, locked ? "YES" : "NO" };
  answer(improv_texts(frame, IMPROV_SCAN, texts, 3));
}

static void carry_out(const struct improv_command *command) {
  static const char *const info[] = { "Holdfast", FIRMWARE_VERSION, "ESP8266", port_board };
  uint8_t fields[IMPROV_MOST_RESULT + 2];
  size_t length;
  struct settings settings;
  switch (command->code) {
    case IMPROV_WIFI:
      if (improv_wifi(command->data, command->length, fields, &length)) set(IMPROV_WIFI, fields, length);
      else answer_error(IMPROV_INVALID);
      break;
    case IMPROV_SET:
      set(IMPROV_SET, command->data, command->length);
      break;
    case IMPROV_GET_STATE:
      answer(improv_byte(frame, IMPROV_STATE, setup_wifi));
      if (setup_wifi == IMPROV_JOINED) answer(improv_result(frame, IMPROV_GET_STATE, 0, 0));
      break;
    case IMPROV_GET_INFO:
      answer(improv_texts(frame, IMPROV_GET_INFO, info, 4));
      break;
    case IMPROV_SCAN:
      if (!port_wifi_scan(found)) answer_error(IMPROV_FAILED);
      break;
    case IMPROV_GET: {
      if (read_sector(&settings) != SETTINGS_OK) settings_clear(sector.bytes);
      const uint8_t *all = settings_fields(sector.bytes, &length);
      answer(improv_fields(frame, all, length));
      break;
    }
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
