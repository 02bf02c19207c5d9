#include "improv.h"

#include "bytes.h"
#include "settings.h"
#include "words.h"

#define VERSION 1
#define AT_TYPE 7
#define AT_LENGTH 8
#define PATIENCE_MS 1000

static const uint8_t start[7] = {'I', 'M', 'P', 'R', 'O', 'V', VERSION};

static uint8_t sum(const uint8_t *bytes, size_t length) {
  uint8_t total = 0;
  while (length--) total = (uint8_t)(total + *bytes++);
  return total;
}

enum found { NONE, MORE, WHOLE };

/* Whether a frame begins at the front of the bytes. */
static enum found frame_at(const uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < sizeof start && i < length; i++) {
    if (bytes[i] != start[i]) return NONE;
  }
  if (length < IMPROV_HEADER) return MORE;
  size_t end = IMPROV_HEADER + (size_t)bytes[AT_LENGTH];
  if (length <= end) return MORE;
  return bytes[end] == sum(bytes, end) ? WHOLE : NONE;
}

bool improv_push(struct improv_reader *reader, uint8_t byte, uint32_t now_ms) {
  if (reader->whole || now_ms - reader->heard >= PATIENCE_MS) reader->length = 0;
  reader->whole = false;
  reader->heard = now_ms;
  words_put(reader->words, reader->length++, byte);
  /* If no frame begins here, one may begin within these bytes. */
  for (;;) {
    enum found found = frame_at(reader->bytes, reader->length);
    if (found == WHOLE) reader->whole = true;
    if (found != NONE) return found == WHOLE;
    size_t skip = 1;
    while (skip < reader->length && reader->bytes[skip] != start[0]) skip++;
    reader->length -= skip;
    words_copy(reader->words, 0, reader->bytes + skip, reader->length);
    if (reader->length == 0) return false;
  }
}

bool improv_command(const struct improv_reader *reader, struct improv_command *command) {
  const uint8_t *bytes = reader->bytes;
  size_t length = bytes[AT_LENGTH];
  if (!reader->whole || bytes[AT_TYPE] != IMPROV_COMMAND) return false;
  bool good = length >= 2 && bytes[IMPROV_HEADER + 1] == length - 2;
  command->code = good ? bytes[IMPROV_HEADER] : 0;
  command->data = bytes + IMPROV_HEADER + 2;
  command->length = good ? length - 2 : 0;
  return true;
}

size_t improv_frame(uint8_t *frame, enum improv_type type, const uint8_t *data, size_t length) {
  bytes_move(frame + IMPROV_HEADER, data, length);
  bytes_copy(frame, start, sizeof start);
  frame[AT_TYPE] = (uint8_t)type;
  frame[AT_LENGTH] = (uint8_t)length;
  frame[IMPROV_HEADER + length] = sum(frame, IMPROV_HEADER + length);
  frame[IMPROV_HEADER + length + 1] = '\n';
  return IMPROV_HEADER + length + 2;
}

size_t improv_byte(uint8_t *frame, enum improv_type type, uint8_t byte) {
  return improv_frame(frame, type, &byte, 1);
}

size_t improv_result(uint8_t *frame, uint8_t command, const uint8_t *data, size_t length) {
  uint8_t *rpc = frame + IMPROV_HEADER;
  bytes_move(rpc + 2, data, length);
  rpc[0] = command;
  rpc[1] = (uint8_t)length;
  return improv_frame(frame, IMPROV_RESULT, rpc, length + 2);
}

size_t improv_texts(uint8_t *frame, uint8_t command, const char *const *texts, unsigned count) {
  uint8_t *data = frame + IMPROV_RESULT_DATA;
  size_t at = 0;
  for (unsigned i = 0; i < count; i++) {
    size_t length = text_length(texts[i]);
    if (length > 255 || at + 1 + length > IMPROV_MOST_RESULT) continue;
    data[at++] = (uint8_t)length;
    bytes_copy(data + at, texts[i], length);
    at += length;
  }
  return improv_result(frame, command, data, at);
}

bool improv_wifi(const uint8_t *data, size_t length, uint8_t *fields, size_t *fields_length) {
  /* ssid and password, each behind its length, are almost fields: only the tags are missing. */
  static const uint8_t tags[2] = {SETTINGS_SSID, SETTINGS_PASSWORD};
  size_t at = 0, to = 0;
  for (unsigned i = 0; i < 2; i++) {
    if (at >= length || data[at] > length - at - 1) return false;
    size_t size = 1 + (size_t)data[at];
    fields[to++] = tags[i];
    bytes_copy(fields + to, data + at, size);
    to += size;
    at += size;
  }
  fields[to++] = SETTINGS_IP; /* a static address belongs to the old network: removes it */
  fields[to++] = 0;
  *fields_length = to;
  return at == length && data[0] > 0; /* an empty ssid would remove the one that is set */
}

size_t improv_fields(uint8_t *frame, const uint8_t *fields, size_t length) {
  uint8_t *data = frame + IMPROV_RESULT_DATA;
  size_t to = 0;
  for (size_t at = 0; at + 2 <= length;) {
    size_t size = 2 + (size_t)fields[at + 1];
    if (size > length - at) break;
    size_t shown = fields[at] == SETTINGS_PASSWORD ? 0 : fields[at] == SETTINGS_KEY ? 2 : size;
    if (to + shown <= IMPROV_MOST_RESULT) {
      bytes_copy(data + to, fields + at, shown);
      if (shown == 2) data[to + 1] = 0;
      to += shown;
    }
    at += size;
  }
  return improv_result(frame, IMPROV_GET, data, to);
}
