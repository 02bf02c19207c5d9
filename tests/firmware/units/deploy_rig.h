/*
 * The firmware's deployment code (slots.c and deploy.c), between a flash that can lose its power at any word and a
 * simulated server. It is compiled as part of the file that includes this.
 *
 * If the power fails during a write, any of the bits to clear are cleared. If it fails during an erase, any bits are
 * set.
 */
#ifndef HOLDFAST_DEPLOY_RIG_H
#define HOLDFAST_DEPLOY_RIG_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy.c"
#include "slots.c"

#include "crc32.h"

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  abort();
}

static void must(bool good, const char *what) {
  if (!good) fail(what);
}

static uint32_t seed = 1;
static uint32_t chance(void) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed * 0x9e3779b1u;
}

/* ---- Flash ---- */

static uint32_t flash[0x100000 / 4];
static jmp_buf power, restarted;
static unsigned operations, cut_at; /* 0: never */
static unsigned erased[256];        /* how often each sector was erased */
static bool works = true;

/* Whether the power fails with this operation. */
static bool fails(void) {
  return ++operations == cut_at;
}

const void *port_flash_map(uint32_t address) {
  return flash + address / 4;
}

static bool is_other(uint32_t address) {
  return address >= address_of(!running) && address < address_of(!running) + SLOT;
}

bool port_flash_erase(uint32_t address) {
  must(running < 2 && is_other(address) && address % 4096 == 0, "what runs is not erased");
  if (!works) return false;
  erased[address / 4096]++;
  uint32_t *words = flash + address / 4;
  bool cut = fails(), hardly = chance() % 2; /* hardly begun: only one word has changed */
  for (unsigned i = 0; i < 1024; i++) {
    if (!cut) words[i] = 0xFFFFFFFF;
    else if (!hardly) words[i] |= chance() & chance();
  }
  if (cut && hardly) words[chance() % 2 ? H_STATE : chance() % H_WORDS] = 0xFFFFFFFF;
  if (cut) longjmp(power, 1);
  return true;
}

bool port_flash_write(uint32_t address, const uint32_t *words, size_t length) {
  must(address % 4 == 0 && length % 4 == 0 && address >= AREA && address + length <= AREA + 2 * SLOT, "in its area");
  bool marks = (address - AREA) % SLOT == H_STATE * 4 && length == 4;
  must(marks || (running < 2 && is_other(address)), "of the running slot, only the outcome is changed");
  if (!works) return false;
  for (size_t i = 0; i < length / 4; i++) {
    uint32_t *to = flash + address / 4 + i;
    bool cut = fails();
    *to &= words[i] | (cut ? chance() : 0);
    if (cut) { /* the rest of a page is written at the same time */
      for (size_t j = i + 1; j < length / 4 && (address + j * 4) % 256; j++) flash[address / 4 + j] &= words[j] | chance();
      longjmp(power, 1);
    }
  }
  return true;
}

/* ---- The rest of the firmware, and of the board ---- */

static char said[4][160];
static unsigned said_count, outbox_left;
static uint32_t written, acked;

bool core_write(const uint8_t *text, size_t length, bool qos) {
  must(qos && length <= 121 && said_count < 4, "a message");
  if (!outbox_left) return false;
  outbox_left--;
  memcpy(said[said_count], text, length);
  said[said_count++][length] = 0;
  written++;
  return true;
}

uint32_t core_get(enum core_register offset) {
  return offset == R_TX_FIRST ? acked : written;
}

static int verdict; /* the result of onTrial; -1: not exported */
static const char *trapped;
const char *engine_trap(void) { return trapped; }
bool engine_has(enum engine_function function) { return function == ON_TRIAL && verdict >= 0; }
uint32_t engine_call(enum engine_function function, uint32_t a, uint32_t b) {
  (void)function, (void)a, (void)b;
  return verdict;
}
const char *const engine_names[ENGINE_FUNCTIONS] = {
  "registers", "init", "opened", "closed", "received", "poll", "take", "room", "write",
};
static uint32_t call(const uint32_t *arguments) { return (void)arguments, 0; }
const struct engine_import application_imports[] = { { "board", "log", 2, false, call }, { 0, 0, 0, false, 0 } };

void port_restart(void) { longjmp(restarted, 1); }
void console_begin(const char *text) { (void)text; }
void console_text(const char *text) { (void)text; }
void console_value(const char *text, size_t length) { (void)text, (void)length; }
void console_number(uint32_t number) { (void)number; }
void console_end(void) {}
static bool malformed;
void console_line(const char *text) { malformed |= !strcmp(text, "deploy malformed"); }

/* ---- Applications ---- */

struct image {
  uint8_t bytes[SLOT_MOST];
  uint32_t length, version;
  char hash[HASH_DIGITS + 1];
};
static struct image first, second, third;

/* A module that exports the core, with random bytes in a custom section. They end in ones, like blank flash. */
static void make_image(struct image *image, uint32_t length, uint32_t version) {
  static const uint8_t start[] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };
  uint8_t *at = image->bytes;
  memcpy(at, start, sizeof start);
  at += sizeof start;
  *at++ = 7;
  uint8_t *size = at++, *content = at;
  *at++ = ON_START;
  for (int i = 0; i < ON_START; i++) {
    size_t name = strlen(engine_names[i]);
    *at++ = name;
    memcpy(at, engine_names[i], name);
    at += name;
    *at++ = 0;
    *at++ = 0;
  }
  *size = at - content;
  uint32_t rest = length - (at - image->bytes) - 3;
  *at++ = 0;
  *at++ = (rest & 127) | 128;
  *at++ = rest >> 7;
  while (at < image->bytes + length) *at++ = chance() >> 8;
  memset(at - 40, 0xFF, 40);
  memset(at - 600, 0xFF, 300);
  image->length = length;
  image->version = version;
  struct slot slot = { .wasm = image->bytes, .length = length };
  uint8_t hash[33] = { 0 };
  hash_of(&slot, hash);
  text_encode(hash, image->hash, HASH_DIGITS);
}

static bool runs(const struct image *image) {
  struct slot slot = slots_running();
  return slot.length == image->length && !memcmp(slot.wasm, image->bytes, image->length);
}

/* Flashes over the cable, as current or old tools do. */
static void flash_by_cable(const struct image *image, bool old) {
  memset(flash, 0xFF, sizeof flash);
  uint32_t *header = flash + AREA / 4;
  header[H_KIND] = old ? KIND_1 : KIND_2;
  header[H_LENGTH] = image->length;
  header[H_CRC] = crc32(0, image->bytes, image->length);
  memset(header + H_NAME, 0, 32);
  memcpy(header + H_NAME, "first", 5);
  if (!old) {
    header[H_VERSION] = image->version;
    header[H_SEQUENCE] = 1;
    header[H_STATE] = ~KEPT;
    header[H_CHECK] = header_check(header);
  }
  memcpy(header + (header[H_KIND] >> 16) / 4, image->bytes, image->length);
  header[H_MAGIC] = MAGIC;
}

/* ---- The necessary parts of a server ---- */

static struct settings values;
static uint32_t now;
static void boot(enum port_reset reset) {
  memset(&state, 0, sizeof state);
  running = 2;
  said_count = 0;
  written = acked = 0;
  outbox_left = 4;
  trapped = 0;
  now += 1000;
  deploy_start(&values, now);
  must(!slots_choose(reset), "an application starts");
  must(runs(&first) || runs(&second) || runs(&third), "a complete application runs");
}

#endif
