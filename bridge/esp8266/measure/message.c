/*
 * Measures the cost of a message in instructions: 1,000 of 32 bytes to the core, each taken and acknowledged, and 1,000
 * from it, each sent and acknowledged. The core and its C host are the firmware's; the network is left out.
 * Also measures the cost of a key: the proofs of a greeting, the keys of a sealed link, an ephemeral key, the shared
 * secret of two, and the cipher of one record with such a message.
 */
#include "arena.h"
#include "bytes.h"
#include "console.h"
#include "core.h"
#include "engine.h"
#include "hmac.h"
#include "port.h"
#include "records.h"
#include "x25519.h"

#define MESSAGES 1000
#define TEXT 32
/* Instructions in one step of the cycle counter, under -icount shift=0. */
#define STEP 25

static uint8_t line[256];

static uint32_t count(void) {
  uint32_t cycles;
  __asm__ volatile("rsr %0, ccount" : "=a"(cycles));
  return cycles;
}

static void say(const char *what, uint32_t instructions) {
  console_begin("message ");
  console_text(what);
  console_text("=");
  console_number(instructions);
  console_end();
}

static void hex(uint8_t *at, uint32_t value, int digits) {
  while (digits--) {
    at[digits] = "0123456789abcdef"[value & 15];
    value >>= 4;
  }
}

static uint32_t memory_needed(void) {
  return core_memory(2, 0);
}

static enum core_event poll(void) {
  return core_poll(0, CORE_CAN_SEND | CORE_CAN_RECEIVE);
}

static void must(bool good, const char *what) {
  if (good) return;
  console_begin("message failed: ");
  console_text(what);
  console_end();
  port_restart(); /* ends it */
}

static void receive(size_t length) {
  must(core_receive(line, length, 0) == length, "receive");
}

/* Completes the greeting, so that messages can follow. */
static void greet(void) {
  must(poll() == CORE_CONNECT, "connect");
  core_opened(0, 0, 0);
  must(poll() == CORE_SEND, "hello");
  must(poll() == CORE_NONE, "rest");
  line[0] = 2;
  hex(line + 1, 0, 2);
  const uint32_t words[] = { 7, 0, core_get(R_TX_EPOCH), 0, 64, 65536, 512 };
  for (int i = 0; i < 7; i++) hex(line + 3 + i * 8, words[i], 8);
  for (int i = 0; i < 4; i++) hex(line + 59 + i * 8, 0, 8);
  line[91] = '\n';
  receive(92);
  while (poll() != CORE_NONE) {}
  must(core_get(R_STATE) == CORE_UP, "up");
}

static void incoming(unsigned n) {
  hex(line, n, 2);
  bytes_fill(line + 2, 'x', TEXT);
  line[2 + TEXT] = '\n';
  receive(3 + TEXT);
  must(poll() == CORE_MESSAGE, "message");
  core_take();
  must(poll() == CORE_SEND, "ack");
  must(poll() == CORE_NONE, "rest");
}

static void outgoing(unsigned n) {
  must(core_write(line + 2, TEXT, true), "write");
  must(poll() == CORE_SEND, "send");
  must(poll() == CORE_NONE, "rest");
  hex(line, n, 2);
  line[2] = '\n';
  receive(3);
  line[2] = 'x';
  must(poll() == CORE_NONE, "rest");
}

/* Seals a record; opening one takes as long. */
static void record(struct holdfast_records *records) {
  struct holdfast_record record;
  uint8_t bytes[64];
  holdfast_record_start(&record, records, TEXT + 3, bytes);
  while (holdfast_record_hide(&record, line, bytes)) {}
  holdfast_record_end(&record, bytes);
}

/* A hello with 64 bytes of name and metadata, and its welcome. */
#define HELLO (91 + 64)
#define WELCOME (91 + 32)

static void keys(void) {
  static uint8_t said[HELLO + 1 + WELCOME + 1];
  static uint32_t ways[2][8];
  struct holdfast_records records;
  uint8_t key[32] = { 1 }, digest[32];
  holdfast_records_begin(&records, ways);
  uint32_t start = count();
  holdfast_hmac_sha256(key, sizeof key, said, 32, digest);
  holdfast_hmac_sha256(key, sizeof key, said, HELLO + 1 + 91, digest);
  holdfast_hmac_sha256(key, sizeof key, said, sizeof said, digest);
  say("proofs", (count() - start) * STEP);
  start = count();
  holdfast_records_derive(&records, CORE_LINE, key, 0, said, sizeof said);
  say("keys", (count() - start) * STEP);
  start = count();
  holdfast_x25519_public(key, digest);
  say("ephemeral", (count() - start) * STEP);
  start = count();
  holdfast_x25519(key, digest, digest);
  say("shared", (count() - start) * STEP);
  start = count();
  for (int i = 0; i < 100; i++) record(&records);
  say("record", (count() - start) * STEP / 100);
}

static uint32_t no_hmac(const uint32_t *arguments) {
  (void)arguments;
  return 0;
}

static const struct engine_import imports[] = {
  { "host", "hmac", 3, false, no_hmac },
  { 0, 0, 0, false, 0 },
};

void program(const uint8_t *wasm, size_t length) {
  uint32_t start = count();
  const char *wrong = engine_load(wasm, length, imports, memory_needed);
  say("load", (count() - start) * STEP);
  must(!wrong, wrong);
  struct core_boot boot = { .name = "probe", .name_length = 5, .timeout = 2000, .dialect = 2, .line = CORE_LINE,
                            .window = CORE_WINDOW };
  core_boot(&boot, 0);
  greet();
  start = count();
  for (unsigned n = 0; n < MESSAGES; n++) incoming(n & 255);
  say("incoming", (count() - start) * STEP / MESSAGES);
  bytes_fill(line + 2, 'x', TEXT);
  start = count();
  for (unsigned n = 0; n < MESSAGES; n++) outgoing(n & 255);
  say("outgoing", (count() - start) * STEP / MESSAGES);
  say("heap", arena_use().length);
  keys();
}
