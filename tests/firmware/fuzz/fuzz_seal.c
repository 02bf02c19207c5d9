/*
 * libFuzzer: any bytes after the welcome of a sealed link, in any pieces, while the core's buffer moves or has no room.
 * Without the key nothing gets through, and the first bad record is the last. In half of the runs the greeting is
 * random as well, with or without an ephemeral key.
 */
#include "seal.h"

#include <string.h>

#include "core.h"
#include "input.h"
#include "port.h"
#include "x25519.h"

#define LINE 40

static uint8_t *memory; /* on the heap, so that an access beyond its end is detected */
static size_t room, at, sent;

uint32_t core_get(enum core_register offset) {
  require(offset == R_LINE);
  return LINE;
}

uint8_t *core_input(size_t length) {
  require(length >= 1 && length <= LINE + 3);
  return length <= room ? memory + at : 0;
}

void core_received(size_t length, uint32_t now) {
  (void)length, (void)now;
  require(false); /* nobody sealed this */
}

size_t core_receive(const uint8_t *bytes, size_t length, uint32_t now) {
  (void)now;
  require(!memchr(bytes, '\n', length - 1)); /* one line at most: the next one may be sealed */
  return length;
}

uint32_t port_random(void) {
  return 5;
}

/* Replaces X25519, which is slow and has no branches for a fuzzer to find: units/seal.c tests it. */
void holdfast_x25519(const uint8_t scalar[32], const uint8_t point[32], uint8_t shared[32]) {
  for (int i = 0; i < 32; i++) shared[i] = scalar[i] ^ point[i];
}

void holdfast_x25519_public(const uint8_t scalar[32], uint8_t key[32]) {
  memcpy(key, scalar, 32);
}

void port_tcp_send(const uint8_t *bytes, size_t length) {
  (void)bytes;
  sent += length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t key[32] = { 7 };
  input = data;
  left = size;
  size_t most = LINE + 3;
  memory = malloc(2 * most);
  at = 0;
  room = most;
  bool is_ephemeral = next() & 1;
  seal_begin(is_ephemeral ? 4 : 3);
  require(seal_receive((const uint8_t *)"\002\n", 2, 0) == 2);
  if (is_ephemeral) {
    uint8_t said[32], greeting[200];
    require(seal_ephemeral(said));
    size_t length = next() % sizeof greeting, any = length < left ? length : left;
    memset(greeting, 'a', sizeof greeting);
    memcpy(greeting, input, any);
    input += any, left -= any;
    seal_derive(key, greeting, length);
    require(length >= 97 || seal_broken());
    if (seal_broken()) { /* there is no shared secret, so the driver closes the connection */
      free(memory);
      return 0;
    }
  } else {
    seal_derive(key, (const uint8_t *)"hello\n\002\n", 8);
  }
  seal_send((const uint8_t *)"proof\n", 6);
  while (left) {
    unsigned what = next();
    if (what < 32) {
      room = next() % (most + 1);
      at = next() % (most + 1);
    } else if (what < 48) {
      uint8_t piece[LINE + 3] = { 0 };
      size_t length = 1 + next() % sizeof piece;
      sent = 0;
      seal_send(piece, length);
      require(sent == length + HOLDFAST_RECORD);
    } else {
      size_t length = what % 50 < left ? what % 50 : left;
      uint8_t *piece = malloc(length);
      memcpy(piece, input, length);
      input += length, left -= length;
      bool was_broken = seal_broken();
      size_t taken = 0, n;
      while (taken < length && (n = seal_receive(piece + taken, length - taken, 0))) taken += n;
      require(taken <= length && (!was_broken || (seal_broken() && taken == length)));
      free(piece);
    }
  }
  free(memory);
  return 0;
}
