/*
 * The client core, in the application's module: the interface of client-as/assembly/core.ts to its host, in C.
 * There is only one.
 */
#ifndef HOLDFAST_CORE_H
#define HOLDFAST_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

enum core_event { CORE_NONE, CORE_CONNECT, CORE_CLOSE, CORE_SEND, CORE_MESSAGE };

enum core_can { CORE_CAN_SEND = 1, CORE_CAN_RECEIVE = 2 };

enum core_state { CORE_CLOSING = -1, CORE_IDLE, CORE_CONNECTING, CORE_GREETING, CORE_UP };

/* Byte offsets of words in the core's register block. */
enum core_register {
  R_STATE = 0,
  R_PTR = 4,
  R_LEN = 8,
  R_RX_ROOM = 12,
  R_TIMEOUT = 16,
  R_DIALECT = 20,
  R_TX_EPOCH = 24,
  R_TX_FIRST = 28,
  R_RX_EPOCH = 32,
  R_RX_NEXT = 36,
  R_WINDOW = 40,
  R_BYTES = 44,
  R_LINE = 48,
  R_NONCE = 52,
  R_WAIT = 68,
  R_RX_PTR = 72,
  R_REASON = 76,
  R_CONNECTS = 80,
  R_TX_NEXT = 84,
  R_OUTBOX = 88,
  R_INBOX = 92,
  R_RECENT = 96,
  R_SEED = 100,
  R_ID_LEN = 104,
  R_SUITE = 108,
  R_PEER_LINE = 136, /* longest text that the other end takes */
  R_SIZE = 140
};

/* From here on R_REASON is a refusal: this plus the server's code. */
#define CORE_REFUSED 16
/* The code of a server that is about to stop. */
#define CORE_LEAVING 7
/* The server did not answer; the server fell silent. */
#define CORE_NO_ANSWER 2
#define CORE_SILENT 4

/* Sizes that fit a chip's memory. */
#define CORE_LINE 512
#define CORE_OUTBOX 1024
#define CORE_INBOX 1100
#define CORE_RECENT 64
#define CORE_WINDOW 8
/* The window of a device that sleeps: its messages are short, and wait for the next time that there is a network. */
#define CORE_WINDOW_SLEEPING 32

/* Suites of a device with a key: everything after the greeting is sealed; the same with ephemeral keys. */
#define SUITE_SEALED 3
#define SUITE_EPHEMERAL 4

/* Bytes of the longest id (64), of the metadata that follow it in the hello (1 + 128), and of the newline. */
#define CORE_MOST_NAME 194

/* Most bytes of the metadata, behind the TAB; the time among them, and its digits. */
#define CORE_METADATA 128
#define CORE_MS "ms=0000000000"
#define CORE_MS_DIGITS 10

/* The longest piece that the core sends: a line, or its hello. */
#define CORE_MOST_PIECE (CORE_LINE + 3)

/* A position in a stream. */
struct core_position {
  uint32_t epoch, next;
};

/* Options of a boot of the core. */
struct core_boot {
  const char *name; /* the device's id and its metadata, without the newline */
  size_t name_length;
  bool says_ms; /* the name ends in CORE_MS: each hello has the board's ms there */
  uint32_t timeout;
  uint8_t dialect;
  uint8_t suite; /* 0: there is no key */
  uint16_t line; /* longest text, CORE_LINE at most */
  uint8_t window; /* most messages in the outbox */
  struct core_position position;
  struct core_position stream; /* the device's own, to resume with `core_restore`; epoch 0: a new one */
};

/* Bytes of linear memory that core and application need in a dialect and suite, whatever the other settings. */
uint32_t core_memory(uint8_t dialect, uint8_t suite);

/* Boots. `now` is in ms, here and below. */
void core_boot(const struct core_boot *boot, uint32_t now);

uint32_t core_get(enum core_register offset);
struct core_position core_position(void);

/* The piece of the last `core_poll`; 0: the core's memory is corrupt. */
uint8_t *core_piece(size_t *length);

enum core_event core_poll(uint32_t now, unsigned can);
/* `ms`: the board's clock; the core's may be behind it. `key`: the ephemeral key for the hello, instead of random bits;
 * 0: none. */
void core_opened(uint32_t now, uint32_t ms, const uint8_t key[32]);
void core_closed(uint32_t now);
/* Where to put this many bytes from the server; 0: there is no room. Then call `core_received`. */
uint8_t *core_input(size_t length);
void core_received(size_t length, uint32_t now);
/* Copies as many of the bytes as there is room for, and returns how many. */
size_t core_receive(const uint8_t *bytes, size_t length, uint32_t now);
void core_take(void);
bool core_write(const uint8_t *text, size_t length, bool qos);

/* Copies the texts of all messages in the outbox into `words`, each with a newline; NUL for a withdrawn one. Returns
 * the bytes; -1: there is no room, or a message must be decided before anything else is sent. */
int32_t core_save(uint32_t *words, size_t room);
/* Makes such a text the next message of the stream; it may have been sent before. */
void core_restore(const uint8_t *text, size_t length);

#endif
