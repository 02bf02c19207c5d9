/*
 * Frames on the serial line: Improv-Serial version 1 and two commands of ours. The other side is improv.ts;
 * SETTINGS.md says what each command does. This parses and composes them; setup.c carries them out.
 */
#ifndef HOLDFAST_IMPROV_H
#define HOLDFAST_IMPROV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum improv_type { IMPROV_STATE = 1, IMPROV_ERROR, IMPROV_COMMAND, IMPROV_RESULT };

enum improv_command_code {
  IMPROV_WIFI = 1,
  IMPROV_GET_STATE,
  IMPROV_GET_INFO,
  IMPROV_SCAN,
  IMPROV_SET = 0x48, /* fields of the settings */
  IMPROV_GET
};

enum improv_state { IMPROV_READY = 2, IMPROV_JOINING, IMPROV_JOINED };

enum improv_error {
  IMPROV_NO_ERROR,
  IMPROV_INVALID,
  IMPROV_UNKNOWN_COMMAND,
  IMPROV_NOT_JOINED,
  IMPROV_FAILED = 0xff
};

#define IMPROV_HEADER 9        /* magic, version, type, length */
#define IMPROV_MOST_DATA 255   /* of a frame */
#define IMPROV_MOST_RESULT 253 /* of a command or result: its number and length come before */
#define IMPROV_FRAME (IMPROV_HEADER + IMPROV_MOST_DATA + 2)

/* Finds frames in a stream. Zeroed at the start; written in words, see words.h. */
struct improv_reader {
  size_t length;
  uint32_t heard; /* ms */
  uint32_t whole; /* 1: a frame is complete */
  union { /* a newline follows a frame, but is not waited for */
    uint32_t words[(IMPROV_FRAME - 1 + 3) / 4];
    uint8_t bytes[IMPROV_FRAME - 1];
  };
};

/* Takes one byte. True: a frame is complete; it is in `bytes` until the next call. An incomplete frame is dropped
 * after a second without a byte. */
bool improv_push(struct improv_reader *reader, uint8_t byte, uint32_t now_ms);

/* Splits a command. False: the frame is not a command, and needs no answer. A malformed command has code 0: the
 * answer is IMPROV_INVALID. */
struct improv_command {
  uint8_t code;
  const uint8_t *data;
  size_t length;
};
bool improv_command(const struct improv_reader *reader, struct improv_command *command);

/* Writes a frame and its newline to `frame` (IMPROV_FRAME bytes). Returns its length. `data` may already be in `frame`
 * at IMPROV_HEADER. */
size_t improv_frame(uint8_t *frame, enum improv_type type, const uint8_t *data, size_t length);

/* A frame of one byte: a state or an error. */
size_t improv_byte(uint8_t *frame, enum improv_type type, uint8_t byte);

/* A result. `length` is at most IMPROV_MOST_RESULT; `data` may already be at frame + IMPROV_RESULT_DATA. */
#define IMPROV_RESULT_DATA (IMPROV_HEADER + 2)
size_t improv_result(uint8_t *frame, uint8_t command, const uint8_t *data, size_t length);

/* A result that consists of texts, like Improv-Serial's own. Texts that do not fit are left out. */
size_t improv_texts(uint8_t *frame, uint8_t command, const char *const *texts, unsigned count);

/* The data of IMPROV_WIFI as fields for `settings_change`, with DHCP. False: malformed. */
#define IMPROV_WIFI_FIELDS (IMPROV_MOST_RESULT + 4)
bool improv_wifi(const uint8_t *data, size_t length, uint8_t *fields, size_t *fields_length);

/* The answer to IMPROV_GET: the fields, without the password, and without the key's value. Fields that do not fit are
 * left out. */
size_t improv_fields(uint8_t *frame, const uint8_t *fields, size_t length);

#endif
