/* The firmware's sealing on a host: each line of stdin is a call, and is answered by a line. */
#include "seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "port.h"
#include "x25519.h"

static uint8_t buffers[3][70000];

/* The core's memory; its input buffer moves as the core takes bytes. */
static uint8_t memory[2000];
static unsigned input, room, line;

static size_t bytes_of(const char *hex, uint8_t *bytes) {
  size_t length = 0;
  unsigned byte;
  for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) bytes[length++] = byte;
  return length;
}

static void print(const uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) printf("%02x", bytes[i]);
}

uint32_t core_get(enum core_register offset) {
  (void)offset;
  return line;
}

uint8_t *core_input(size_t length) {
  return length <= room ? memory + input : 0;
}

void core_received(size_t length, uint32_t now) {
  (void)now;
  print(memory + input, length);
}

size_t core_receive(const uint8_t *bytes, size_t length, uint32_t now) {
  (void)now;
  printf("clear:");
  print(bytes, length);
  return length;
}

void port_tcp_send(const uint8_t *bytes, size_t length) {
  print(bytes, length);
}

/* The next random words. */
static uint8_t words_to_draw[32];
static unsigned drawn;

uint32_t port_random(void) {
  const uint8_t *at = words_to_draw + 4 * (drawn++ % 8);
  return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

int main(void) {
  static char text[150000], word[32], first[140000], second[9000];
  while (fgets(text, sizeof text, stdin)) {
    first[0] = second[0] = 0;
    sscanf(text, "%31s %139999s %8999s", word, first, second);
    size_t length = bytes_of(first, buffers[0]), more = bytes_of(second, buffers[1]);
    if (!strcmp(word, "begin")) {
      line = strtoul(first, 0, 10);
      seal_begin(more ? buffers[1][0] : SUITE_SEALED);
      input = 0;
      room = sizeof memory;
    } else if (!strcmp(word, "ephemeral")) {
      memcpy(words_to_draw, buffers[0], 32);
      drawn = 0;
      if (seal_ephemeral(buffers[2])) print(buffers[2], 32);
    } else if (!strcmp(word, "x25519")) {
      holdfast_x25519(buffers[0], buffers[1], buffers[2]);
      print(buffers[2], 32);
    } else if (!strcmp(word, "iterate")) {
      /* The scalar, and the point, 1,000 times. */
      for (int n = 0; n < 1000; n++) {
        memcpy(buffers[2], buffers[0], 32);
        holdfast_x25519(buffers[0], buffers[1], buffers[0]);
        memcpy(buffers[1], buffers[2], 32);
      }
      print(buffers[0], 32);
    } else if (!strcmp(word, "derive")) {
      seal_derive(buffers[0], buffers[1], more);
    } else if (!strcmp(word, "room")) {
      input = strtoul(first, 0, 10);
      room = strtoul(second, 0, 10);
    } else if (!strcmp(word, "send")) {
      seal_send(buffers[0], length);
    } else if (!strcmp(word, "receive")) {
      size_t taken = 0, n;
      while (taken < length && (n = seal_receive(buffers[0] + taken, length - taken, 0))) taken += n;
      if (taken < length) printf(" left:%zu", length - taken);
      if (seal_broken()) printf(" broken");
    } else if (!strcmp(word, "poly1305")) {
      struct holdfast_poly1305 mac;
      holdfast_poly1305_start(&mac, buffers[0]);
      holdfast_poly1305_add(&mac, buffers[1], more);
      holdfast_poly1305_end(&mac, buffers[2]);
      print(buffers[2], 16);
    } else if (!strcmp(word, "stream")) {
      /* The stream from block 1 on: key, nonce, and a text of the wanted length. */
      uint32_t words[8], nonce[3];
      memcpy(words, buffers[0], 32);
      memcpy(nonce, buffers[0] + 32, 12);
      for (size_t at = 0; at < more; at += 64) {
        uint8_t block[64];
        holdfast_chacha20_block(words, 1 + at / 64, nonce, block);
        for (size_t i = 0; i < 64 && at + i < more; i++) buffers[1][at + i] ^= block[i];
      }
      print(buffers[1], more);
    } else return 1;
    printf("\n");
    fflush(stdout);
  }
  return 0;
}
