#include "core.h"

#include "bytes.h"
#include "port.h"
#include "words.h"

static uint32_t *registers;
static uint32_t outbox IN_WORDS; /* its address */
static uint32_t ms_at; /* address of the digits of the time in the hello; 0: it has none */
static uint32_t key_at; /* address of the digits of the ephemeral key's second half */

/* Bytes of a nonce; the core turns them into digits itself. An ephemeral key has more digits, in front of the name. */
#define NONCE 16
#define MORE_DIGITS 32

static void set(enum core_register offset, uint32_t value) {
  registers[offset / 4] = value;
}

uint32_t core_get(enum core_register offset) {
  return registers[offset / 4];
}

/* Lays out the memory for a name of this many bytes; returns its end. */
static uint32_t initialize(size_t name_length, uint8_t suite, uint8_t dialect, uint16_t line, uint8_t window,
                           uint32_t now) {
  set(R_LINE, line);
  set(R_OUTBOX, CORE_OUTBOX);
  set(R_INBOX, CORE_INBOX);
  set(R_RECENT, dialect == 1 ? CORE_RECENT : 1); /* dialect 2 needs none */
  set(R_WINDOW, window);
  set(R_DIALECT, dialect);
  set(R_SUITE, suite);
  set(R_ID_LEN, (suite == SUITE_EPHEMERAL ? MORE_DIGITS : 0) + name_length + 1);
  uint32_t end = engine_call(CORE_INIT, 0, now);
  outbox = end - CORE_OUTBOX;
  return end;
}

static bool find(void) {
  static uint32_t nowhere[R_SIZE / 4] IN_WORDS;
  uint32_t address = engine_call(CORE_REGISTERS, 0, 0);
  registers = address & 3 ? 0 : engine_at(address, R_SIZE);
  if (!registers) registers = nowhere;
  bytes_fill(registers, 0, R_SIZE);
  return registers != nowhere;
}

uint32_t core_memory(uint8_t dialect, uint8_t suite) {
  return find() ? initialize(CORE_MOST_NAME - 1, suite, dialect, CORE_LINE, CORE_WINDOW, 0) : 0;
}

void core_boot(const struct core_boot *boot, uint32_t now) {
  find();
  set(R_TIMEOUT, boot->timeout);
  set(R_SEED, port_random());
  uint32_t epoch = port_random();
  set(R_TX_EPOCH, epoch ? epoch : 1);
  set(R_RX_EPOCH, boot->position.epoch);
  set(R_RX_NEXT, boot->position.next);
  initialize(boot->name_length, boot->suite, boot->dialect, boot->line, boot->window, now);
  if (boot->stream.epoch) {
    set(R_TX_EPOCH, boot->stream.epoch);
    set(R_TX_FIRST, boot->stream.next);
    set(R_TX_NEXT, boot->stream.next);
  }
  uint32_t address = key_at = core_get(R_PTR);
  if (boot->suite == SUITE_EPHEMERAL) address += MORE_DIGITS;
  uint8_t *name = engine_at(address, boot->name_length + 1);
  ms_at = 0;
  if (!name) return;
  bytes_copy(name, boot->name, boot->name_length);
  name[boot->name_length] = '\n';
  if (boot->says_ms) ms_at = address + boot->name_length - CORE_MS_DIGITS;
}

struct core_position core_position(void) {
  return (struct core_position){ core_get(R_RX_EPOCH), core_get(R_RX_NEXT) };
}

uint8_t *core_piece(size_t *length) {
  *length = core_get(R_LEN);
  return engine_at(core_get(R_PTR), *length);
}

enum core_event core_poll(uint32_t now, unsigned can) {
  return engine_call(CORE_POLL, now, can);
}

static void say_ms(uint32_t ms) {
  uint8_t *digits = ms_at ? engine_at(ms_at, CORE_MS_DIGITS) : 0;
  if (!digits) return;
  for (unsigned i = CORE_MS_DIGITS; i--; ms /= 10) digits[i] = '0' + ms % 10;
}

static void say_key(const uint8_t key[32]) {
  uint8_t *digits = engine_at(key_at, MORE_DIGITS);
  if (!digits) return;
  for (unsigned i = 0; i < NONCE; i += 4) {
    set(R_NONCE + i, (uint32_t)key[i] << 24 | (uint32_t)key[i + 1] << 16 | (uint32_t)key[i + 2] << 8 | key[i + 3]);
  }
  for (unsigned i = 0; i < MORE_DIGITS; i++) {
    uint8_t nibble = key[NONCE + i / 2] >> (i & 1 ? 0 : 4) & 15;
    digits[i] = nibble < 10 ? '0' + nibble : 'a' - 10 + nibble;
  }
}

void core_opened(uint32_t now, uint32_t ms, const uint8_t key[32]) {
  say_ms(ms);
  if (key) say_key(key);
  else for (unsigned i = 0; i < NONCE; i += 4) set(R_NONCE + i, port_random());
  engine_call(CORE_OPENED, now, 0);
}

void core_closed(uint32_t now) {
  engine_call(CORE_CLOSED, now, 0);
}

uint8_t *core_input(size_t length) {
  return length && length <= core_get(R_RX_ROOM) ? engine_at(core_get(R_RX_PTR), length) : 0;
}

void core_received(size_t length, uint32_t now) {
  engine_call(CORE_RECEIVED, length, now);
}

size_t core_receive(const uint8_t *bytes, size_t length, uint32_t now) {
  size_t room = core_get(R_RX_ROOM);
  if (length > room) length = room;
  uint8_t *to = core_input(length);
  if (!to) return 0;
  bytes_copy(to, bytes, length);
  core_received(length, now);
  return length;
}

void core_take(void) {
  engine_call(CORE_TAKE, 0, 0);
}

static uint8_t *room_for(size_t length) {
  uint32_t address = engine_call(CORE_ROOM, length, 0);
  return address ? engine_at(address, length) : 0;
}

bool core_write(const uint8_t *text, size_t length, bool qos) {
  uint8_t *to = room_for(length);
  if (!to) return false;
  bytes_copy(to, text, length);
  return engine_call(CORE_WRITE, length, qos);
}

/* An entry of the outbox, as in core.ts: length of the line, id, flags; then the line, which begins with its id. */
#define HEADER 4
#define ID 2
enum { DONE_WITH = 2, WITHDRAWN, LATE };

int32_t core_save(uint32_t *words, size_t room) {
  size_t size = 0;
  uint32_t at = outbox;
  for (uint32_t count = core_get(R_TX_NEXT) - core_get(R_TX_FIRST); count;) {
    const uint8_t *entry = engine_at(at, HEADER + ID + 2);
    size_t length = entry ? entry[0] | entry[1] << 8 : 0; /* of text, id and newline */
    if (length <= ID || !engine_at(at, HEADER + length)) return -1; /* the core's memory is corrupt */
    at += HEADER + length;
    if (entry[3] == DONE_WITH) continue; /* it has left the outbox */
    count--;
    size_t kept = entry[3] == WITHDRAWN ? 2 : length - ID; /* then the text is NUL and a newline */
    if (entry[3] == LATE || kept > room - size) return -1;
    words_copy(words, size, entry + HEADER + ID, kept);
    size += kept;
  }
  return size;
}

void core_restore(const uint8_t *text, size_t length) {
  uint8_t *to = room_for(length);
  if (!to) return;
  bytes_copy(to, text, length);
  bool withdrawn = !text[0];
  if (withdrawn) to[0] = '-'; /* `write` refuses NUL */
  engine_call(CORE_WRITE, length, 3);
  if (withdrawn) to[0] = 0;
}
