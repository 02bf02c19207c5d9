/* libFuzzer: any bytes on the serial line, and the data of any command. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "improv.h"
#include "settings.h"

static void require(bool good) {
  if (!good) abort();
}

/* An encoded frame must be found again. */
static void check_frame(const uint8_t *frame, size_t length, uint8_t type) {
  struct improv_reader reader = {0};
  require(length <= IMPROV_FRAME && frame[length - 1] == '\n');
  for (size_t i = 0; i + 2 < length; i++) require(!improv_push(&reader, frame[i], 5));
  require(improv_push(&reader, frame[length - 2], 5));
  require(reader.bytes[7] == type && memcmp(reader.bytes, frame, length - 1) == 0);
}

static void carry_out(const struct improv_command *command) {
  uint8_t *frame = malloc(IMPROV_FRAME);
  uint8_t *fields = malloc(IMPROV_WIFI_FIELDS);
  size_t length;
  require(command->length <= IMPROV_MOST_RESULT);
  if (improv_wifi(command->data, command->length, fields, &length)) {
    require(length == command->length + 4);
    check_frame(frame, improv_fields(frame, fields, length), IMPROV_RESULT);
  }
  check_frame(frame, improv_fields(frame, command->data, command->length), IMPROV_RESULT);
  check_frame(frame, improv_result(frame, command->code, command->data, command->length), IMPROV_RESULT);
  char *text = malloc(command->length + 1);
  memcpy(text, command->data, command->length);
  text[command->length] = 0;
  const char *texts[3] = {text, "", text};
  check_frame(frame, improv_texts(frame, command->code, texts, 3), IMPROV_RESULT);
  free(text);
  free(fields);
  free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  /* On the heap, so that an access beyond its end is detected. */
  struct improv_reader *reader = calloc(1, sizeof *reader);
  for (size_t i = 0; i < size; i++) {
    struct improv_command command;
    if (!improv_push(reader, data[i], (uint32_t)i)) continue;
    if (improv_command(reader, &command)) carry_out(&command);
  }
  free(reader);
  struct improv_command all = {0x49, data, size <= IMPROV_MOST_RESULT ? size : IMPROV_MOST_RESULT};
  carry_out(&all);
  return 0;
}
