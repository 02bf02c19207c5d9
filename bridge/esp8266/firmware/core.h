/*
 * The client core, in the application's module: what client-as/assembly/core.ts says to a host, in C. There
 * is one.
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

/* R_REASON from here on is a refusal: this and the server's code. */
#define CORE_REFUSED 16
/* The code of a server that is about to stop. */
#define CORE_LEAVING 7
/* The server did not answer at all; it fell silent. */
#define CORE_NO_ANSWER 2
#define CORE_SILENT 4

/* What a chip can afford. */
#define CORE_LINE 512
#define CORE_OUTBOX 1024
#define CORE_INBOX 1100
#define CORE_RECENT 64
#define CORE_WINDOW 8
/* Messages of one that sleeps: they wait for the next time that there is a network, and are short. */
#define CORE_WINDOW_SLEEPING 32

/* What a device with a key speaks: all behind the greeting is sealed; the same, with ephemeral keys. */
#define SUITE_SEALED 3
#define SUITE_EPHEMERAL 4

/* Bytes of the longest name (64), of what follows it in the hello (1 + 128), and of the newline. */
#define CORE_MOST_NAME 194

/* Bytes of what the hello says about the device, behind the TAB; what says its time in it, and how many digits that
 * has. */
#define CORE_METADATA 128
#define CORE_MS "ms=0000000000"
#define CORE_MS_DIGITS 10

/* The longest piece that the core ever sends: a line, or its hello. */
#define CORE_MOST_PIECE (CORE_LINE + 3)

/* How far a stream has been taken. */
struct core_position {
  uint32_t epoch, next;
};

/* What a boot of the core is told. */
struct core_boot {
  const char *name; /* the device's id, and what else its hello carries; without the newline */
  size_t name_length;
  bool says_ms; /* the name ends in CORE_MS: each hello says the board's ms there */
  uint32_t timeout;
  uint8_t dialect;
  uint8_t suite; /* 0: there is no key */
  uint16_t line; /* longest text, CORE_LINE at most */
  uint8_t window; /* most messages that wait */
  struct core_position position;
  struct core_position stream; /* its own: goes on there; epoch 0: a new one. `core_restore` follows */
};

/* How much linear memory core and application need in a dialect and suite, whatever the other settings are. */
uint32_t core_memory(uint8_t dialect, uint8_t suite);

/* Boots. `now` is in ms, here and below. */
void core_boot(const struct core_boot *boot, uint32_t now);

uint32_t core_get(enum core_register offset);
struct core_position core_position(void);

/* The piece that `poll` meant; 0 if the core has gone mad. */
uint8_t *core_piece(size_t *length);

enum core_event core_poll(uint32_t now, unsigned can);
/* `ms`: the board's clock, which the core's may be behind. `key`: the ephemeral key that the hello says, in place of random
 * bits; 0: none. */
void core_opened(uint32_t now, uint32_t ms, const uint8_t key[32]);
void core_closed(uint32_t now);
/* Where this many bytes from the server go; 0: there is no room for them. `core_received` once they are there. */
uint8_t *core_input(size_t length);
void core_received(size_t length, uint32_t now);
/* Takes as many of the bytes as there is room for, and returns how many. */
size_t core_receive(const uint8_t *bytes, size_t length, uint32_t now);
void core_take(void);
bool core_write(const uint8_t *text, size_t length, bool qos);

/* Puts the texts of all messages in the outbox into `words`, each with a newline behind it; of one that was withdrawn,
 * NUL. How many bytes; -1 if there is no room for them, or one is to be decided before anything else is sent. */
int32_t core_save(uint32_t *words, size_t room);
/* Such a text is the next message of the stream, and may have been sent. */
void core_restore(const uint8_t *text, size_t length);

#endif
