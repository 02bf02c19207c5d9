/*
 * The board that is QEMU's lx106, with the chip's memory map. A program on the host plays the chip's world (network,
 * pins, flash, memory that survives a reset): frames are written to file descriptor 1 and read from 0, see frames.ts.
 * It runs under `-semihosting`.
 */
#include "bytes.h"
#include "engine.h"
#include "events.h"
#include "frames.h"
#include "pins.h"
#include "port.h"
#include "stack.h"

const char port_board[] = "emulator";

#define FLASH_START 0x40200000u
#define FLASH_SIZE 0x100000u

/* ---- Time: the processor's cycle counter, 40 MHz ---- */

static uint32_t speed = 1; /* how many times faster than real time the clock runs */
static uint64_t cycles;
static uint32_t cycles_seen;

static uint64_t microseconds(void) {
  uint32_t count;
  __asm__ volatile("rsr %0, ccount" : "=a"(count));
  cycles += count - cycles_seen;
  cycles_seen = count;
  return cycles * speed / 40;
}

uint32_t port_us(void) {
  return microseconds();
}

uint32_t port_ms(void) {
  return microseconds() / 1000;
}

void port_delay_us(uint32_t us) {
  uint32_t start = port_us();
  while (port_us() - start < us) {}
}

/* Under -icount shift=0 a step of the cycle counter is 25 instructions, and waiting takes no time. */
#ifdef MEASURE_WAKE
#include "console.h"
static void mark(const char *what) {
  uint32_t count;
  __asm__ volatile("rsr %0, ccount" : "=a"(count));
  console_begin("at ");
  console_text(what);
  console_text("=");
  console_number(count * 25);
  console_end();
}
#else
#define mark(what) ((void)0)
#endif

/* ---- Chip ---- */

static enum port_reset reset_reason;
static uint32_t kept[PORT_KEPT_WORDS];
static uint32_t random_state;
static uint32_t fed;
static uint8_t memory[EMULATOR_MEMORY] __attribute__((aligned(8)));

uint32_t port_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state * 0x9e3779b1u;
}

size_t memory_spare = sizeof memory;
static size_t given;

void *port_memory(size_t least, size_t most, size_t *length) {
  given = (most < memory_spare ? most : memory_spare) & ~(size_t)7;
  if (given < least) given = 0;
  *length = given;
  return given ? memory : 0;
}

uint32_t port_free_heap(void) {
  extern uint8_t bss_end[], stack_end[];
  return stack_end - bss_end - 4096 + sizeof memory - given;
}

enum port_reset port_reset_reason(void) {
  return reset_reason;
}

bool port_crash(struct port_crash *crash) {
  (void)crash;
  return false; /* an exception ends QEMU */
}

void port_restart(void) {
  frame('r', 0, 0);
  flush();
  leave(0);
}

void port_sleep(uint32_t ms) {
  mark("sleep");
  frame('z', &ms, sizeof ms);
  flush();
  leave(0);
}

void port_feed_watchdog(void) {
  uint32_t now = port_ms();
  if (now - fed < 1000) return;
  fed = now;
  frame('f', 0, 0);
}

void port_kept_read(unsigned first, uint32_t *words, unsigned count) {
  bytes_copy(words, kept + first, count * 4);
}

void port_kept_write(unsigned first, const uint32_t *words, unsigned count) {
  bytes_copy(kept + first, words, count * 4);
  uint8_t at = first;
  frame_start('k', 1 + count * 4);
  put(&at, 1);
  put(words, count * 4);
  flush(); /* when this returns, the words must survive a reset */
}

/* ---- Flash ---- */

const void *port_flash_map(uint32_t address) {
  return (const void *)(FLASH_START + address);
}

static bool in_flash(uint32_t address, size_t length) {
  return !((address | length) & 3) && address <= FLASH_SIZE && length <= FLASH_SIZE - address;
}

bool port_flash_read(uint32_t address, uint32_t *words, size_t length) {
  if (!in_flash(address, length)) return false;
  bytes_copy(words, port_flash_map(address), length);
  return true;
}

bool port_flash_erase(uint32_t address) {
  if (address & 4095 || !in_flash(address, 4096)) return false;
  bytes_fill((void *)(FLASH_START + address), 0xff, 4096);
  frame('e', &address, 4);
  return true;
}

bool port_flash_write(uint32_t address, const uint32_t *words, size_t length) {
  if (!in_flash(address, length)) return false;
  uint32_t *to = (uint32_t *)(FLASH_START + address);
  for (size_t i = 0; i < length / 4; i++) to[i] &= words[i];
  frame_start('w', 4 + length);
  put(&address, 4);
  put(words, length);
  return true;
}

/* ---- WiFi ---- */

static uint32_t ip;
static struct port_lease lease; /* of the join that led to it */
static void (*scan_found)(const char *ssid, int rssi, bool locked);

void port_wifi_join(const struct port_wifi *wifi) {
  mark("join");
  const char *texts[] = { wifi->ssid, wifi->password, wifi->country };
  static const struct port_lease none;
  size_t length = 16 + sizeof none;
  for (unsigned i = 0; i < 3; i++) length += text_length(texts[i]) + 1;
  frame_start('j', length);
  put(wifi->ip, 16);
  put(wifi->known ? wifi->known : &none, sizeof none);
  for (unsigned i = 0; i < 3; i++) put(texts[i], text_length(texts[i]) + 1);
}

void port_wifi_leave(void) {
  ip = 0;
  frame('l', 0, 0);
}

uint32_t port_wifi_ip(void) {
  return ip;
}

bool port_wifi_lease(struct port_lease *seen) {
  *seen = lease;
  return ip != 0;
}

bool port_wifi_scan(void (*found)(const char *ssid, int rssi, bool locked)) {
  scan_found = found;
  frame('n', 0, 0);
  return true;
}

/* ---- TCP ---- */

#define WINDOW 2920 /* bytes that may be on their way to the host's socket */

static uint8_t connection; /* number of the connection, to recognise late frames of an old one */
static bool open;
static bool resolving; /* the host looks the name up */
static unsigned unacknowledged;
static uint8_t received[MOST_PAYLOAD]; /* not taken by the firmware yet */
static unsigned received_length;

void port_tcp_open(const char *host, uint16_t port) {
  mark("connect");
  size_t length = text_length(host);
  uint8_t header[3] = { ++connection, port, port >> 8 };
  frame_start('o', 3 + length);
  put(header, 3);
  put(host, length);
  open = false;
  resolving = false;
  for (size_t i = 0; i < length; i++) {
    if (host[i] != '.' && (host[i] < '0' || host[i] > '9')) resolving = true;
  }
  unacknowledged = received_length = 0;
}

void port_tcp_close(void) {
  frame('c', &connection, 1);
  connection++;
  open = resolving = false;
  received_length = 0;
}

bool port_tcp_resolving(void) {
  return resolving;
}

size_t port_tcp_room(void) {
  return open ? WINDOW - unacknowledged : 0;
}

void port_tcp_send(const uint8_t *bytes, size_t length) {
  mark("send");
  frame_start('d', 1 + length);
  put(&connection, 1);
  put(bytes, length);
  unacknowledged += length;
}

void port_tcp_flush(void) {}

bool port_tcp_sent(void) {
  return !open || !unacknowledged;
}

/* ---- Serial line and pins ---- */

void port_serial_write(const uint8_t *bytes, size_t length) {
  frame('s', bytes, length);
}

/* ---- Events ---- */

static void tcp_event(uint8_t type, const uint8_t *payload, unsigned length) {
  if (!length || payload[0] != connection) return; /* of an old connection */
  switch (type) {
    case 'U':
      open = resolving = false;
      connection++;
      firmware_tcp_no_address();
      break;
    case 'K':
      resolving = false;
      break;
    case 'O':
      open = true;
      resolving = false;
      mark("opened");
      firmware_tcp_opened();
      break;
    case 'C':
      open = resolving = false;
      connection++;
      firmware_tcp_closed();
      break;
    case 'A':
      unacknowledged -= payload[1] | payload[2] << 8;
      break;
    case 'D':
      bytes_copy(received, payload + 1, length - 1);
      received_length = length - 1;
      mark("data");
      break;
  }
}

static void take_frame(unsigned at) {
  uint8_t *payload = input + at + 3;
  unsigned length = length_at(at) - 3;
  switch (input[at]) {
    case 'U':
    case 'K':
    case 'O':
    case 'C':
    case 'A':
    case 'D':
      tcp_event(input[at], payload, length);
      break;
    case 'W':
      ip = payload[0] == WIFI_UP ? payload[1] | payload[2] << 8 | payload[3] << 16 | (uint32_t)payload[4] << 24 : 0;
      mark("up");
      if (length > 5) bytes_copy(&lease, payload + 5, sizeof lease);
      firmware_wifi(payload[0]);
      break;
    case 'S':
      firmware_serial(payload, length);
      break;
    case 'G':
      pins_pulled(payload[0], payload[1]);
      break;
    case 'V':
      pins_analogue(payload[0] | payload[1] << 8);
      break;
    case 'N': /* rssi, locked, ssid and NUL; empty: the end */
      if (length) scan_found((const char *)payload + 2, (int8_t)payload[0], payload[1]);
      else scan_found(0, 0, false);
      break;
#ifdef MEASURE
    case 'M': /* prints its use of memory */
      engine_measure();
      stack_measure();
      break;
#endif
    case 'H': /* hangs, as a bug would */
      flush();
      for (;;) {}
  }
}

bool events_offer(void) {
  if (!received_length) return true;
  uint8_t before = connection;
  unsigned taken = firmware_tcp_received(received, received_length);
  if (connection != before) return true; /* the firmware has closed this one: the bytes are dropped */
  received_length -= taken;
  bytes_move(received, received + taken, received_length);
  if (taken) {
    uint8_t payload[3] = { connection, taken, taken >> 8 };
    frame('a', payload, 3);
  }
  return !received_length;
}

/* Later bytes and the end of the connection must not overtake waiting bytes; everything else may. */
static bool must_wait(uint8_t type) {
  return (type == 'D' || type == 'C') && received_length;
}

void events_take(void) {
  for (unsigned at = 0; frame_at(at);) {
    if (must_wait(input[at])) {
      at += length_at(at);
      continue;
    }
    take_frame(at);
    drop_frame(at);
    events_offer();
  }
}

void events_wait(uint32_t ms) {
  read_input(ms / speed);
  events_take();
}

/* ---- The start ---- */

/* The host sends to a chip that wakes: reset reason, speed, a random seed, kept words; then the path of the pins, if
 * another program has them; the levels of inputs; parts of the flash, and an empty one at the end. */
void events_wake(void) {
  microseconds();
  pins_begin();
  next_frame();
  reset_reason = input[3];
  speed = input[4] | input[5] << 8;
  bytes_copy(&random_state, input + 6, 4);
  bytes_copy(kept, input + 10, sizeof kept);
  for (;;) {
    drop_frame(0);
    next_frame();
    unsigned length = length_at(0) - 3;
    if (!length) break;
    if (input[0] == 'P') {
      pins_elsewhere((const char *)input + 3);
      continue;
    }
    if (input[0] == 'G' || input[0] == 'V') {
      take_frame(0);
      continue;
    }
    uint32_t address;
    bytes_copy(&address, input + 3, 4);
    bytes_copy((void *)(FLASH_START + address), input + 7, length - 4);
  }
  drop_frame(0);
  mark("start"); /* everything before belongs to the emulator */
}

/* Called after an exception of the processor. */
void crashed(uint32_t cause, uint32_t at, uint32_t address) {
  uint32_t words[3] = { cause, at, address };
  drop_output();
  frame('x', words, sizeof words);
  flush();
  leave(4);
}

