/*
 * libFuzzer: the firmware between a board and an application that do anything they can: flash with any bytes, a network
 * that sends anything at any time, a module that answers and writes to its memory at random, and calls its imports with
 * any arguments. Ends the program when the firmware uses the board in a way that port.h forbids, or touches memory that
 * it must not.
 */
#include <setjmp.h>
#include <string.h>

#include "crc32.h"
#include "input.h"

/* Included here, so that their state can be reset before each input. */
#include "firmware.c"
#define carry_out carry_out_command
#define found found_network
#undef SECTOR
#include "setup.c"

static uint32_t next_word(void) {
  static const uint32_t edges[] = {0, 1, 3, 4, 511, 512, 515, 1099, 4095, 4096, 0x7fffffff, 0x80000000, 0xffffffff};
  unsigned kind = next();
  if (kind < 0x80) return kind;
  if (kind < 0xc0) return edges[kind % (sizeof edges / sizeof *edges)];
  if (kind < 0xe0) return (kind << 8 | next()) & 0xfff;
  uint32_t word = next();
  return word << 24 | next() << 16 | next() << 8 | next();
}

/* So that the sanitizer detects a length that is too long. */
static void read_all(const uint8_t *bytes, size_t length) {
  static volatile uint8_t sum;
  for (size_t i = 0; i < length; i++) sum = (uint8_t)(sum + bytes[i]);
}

/* ---- The board ---- */

const char port_board[] = "fuzz";
static uint32_t now_us;
static jmp_buf restarted;
#define FLASH 0x100000
static uint8_t flash[FLASH] __attribute__((aligned(4)));
static bool wifi_on, tcp_asked, tcp_open;
static void (*scan_answer)(const char *, int, bool);

uint32_t port_us(void) { return now_us += 7; }
uint32_t port_ms(void) { return port_us() / 1000 + 0xfffff000; } /* it wraps soon */
void port_delay_us(uint32_t us) { require(us <= 1000), now_us += us; }
uint32_t port_random(void) { return next_word(); }
uint32_t port_free_heap(void) { return 20000; }
static enum port_reset reset_reason;
enum port_reset port_reset_reason(void) { return reset_reason = next() % 6; }
bool port_crash(struct port_crash *crash) {
  require(reset_reason == RESET_EXCEPTION);
  *crash = (struct port_crash){29, 0x402149a0, 4};
  return true;
}
void port_restart(void) { longjmp(restarted, 1); }
void port_sleep(uint32_t ms) {
  require(ms >= 1 && ms <= PORT_MOST_SLEEP);
  longjmp(restarted, 1);
}
void port_feed_watchdog(void) {}

/* This engine does not use the arena, so only this is called; see fuzz_main.c. */
void *port_memory(size_t least, size_t most, size_t *length) {
  require(!least && !most);
  *length = 0;
  return 0;
}

static uint32_t kept_words[PORT_KEPT_WORDS];
void port_kept_read(unsigned first, uint32_t *words, unsigned count) {
  require(first + count <= PORT_KEPT_WORDS);
  memcpy(words, kept_words + first, count * 4);
}
void port_kept_write(unsigned first, const uint32_t *words, unsigned count) {
  require(first + count <= PORT_KEPT_WORDS);
  memcpy(kept_words + first, words, count * 4);
}

const void *port_flash_map(uint32_t address) { return require(address < FLASH), flash + address; }

/* Where a new application may be written while the other one runs, and the outcome records of both. */
static bool is_other_slot(uint32_t address) {
  bool second = slots_any() && slots_running().wasm > flash + 0xf5000;
  uint32_t other = second ? 0xf0000 : 0xf5000;
  bool marks = address == 0xf0000 + 56 || address == 0xf5000 + 56;
  return marks || (slots_any() && address >= other && address < other + 0x5000);
}

static void check_flash(uint32_t address, const void *words, size_t length) {
  require(address % 4 == 0 && length % 4 == 0 && (uintptr_t)words % 4 == 0);
  bool settings_sector = address >= 0xfa000 && address + length <= 0xfb000;
  require(settings_sector || is_other_slot(address));
}
bool port_flash_read(uint32_t address, uint32_t *words, size_t length) {
  check_flash(address, words, length);
  if (next() % 16 == 15) return false;
  memcpy(words, flash + address, length);
  return true;
}
bool port_flash_erase(uint32_t address) {
  require(address == 0xfa000 || is_other_slot(address));
  if (next() % 16 == 15) return false;
  memset(flash + address, 0xff, 4096);
  return true;
}
bool port_flash_write(uint32_t address, const uint32_t *words, size_t length) {
  check_flash(address, words, length);
  if (next() % 16 == 15) return false;
  for (size_t i = 0; i < length; i++) flash[address + i] &= ((const uint8_t *)words)[i];
  return true;
}

void port_wifi_join(const struct port_wifi *wifi) {
  require(!wifi_on);
  require(strlen(wifi->ssid) >= 1 && strlen(wifi->ssid) <= 32 && strlen(wifi->password) <= 64);
  require(strlen(wifi->country) == 0 || strlen(wifi->country) == 2);
  require(!wifi->ip[0] || (wifi->ip[1] && wifi->ip[2] != wifi->ip[0]));
  wifi_on = true;
}
void port_wifi_leave(void) { wifi_on = false; }
uint32_t port_wifi_ip(void) { return next_word(); }
bool port_wifi_lease(struct port_lease *lease) {
  for (unsigned i = 0; i < sizeof *lease / 4; i++) ((uint32_t *)lease)[i] = next_word();
  return next() % 2;
}
bool port_wifi_scan(void (*answer)(const char *ssid, int rssi, bool locked)) {
  if (next() % 4 == 0) return false;
  scan_answer = answer;
  return true;
}

void port_tcp_open(const char *host, uint16_t port) {
  require(!tcp_asked && strlen(host) >= 1 && strlen(host) <= 64 && port);
  tcp_asked = true;
}
void port_tcp_close(void) { tcp_asked = tcp_open = false; }
static size_t room;
bool port_tcp_resolving(void) { return tcp_asked && !tcp_open && next() % 2; }

size_t port_tcp_room(void) { return room = tcp_open ? next() * 8 : 0; }
void port_tcp_send(const uint8_t *bytes, size_t length) {
  require(length == 0 || (tcp_open && length <= room));
  room -= length;
  read_all(bytes, length);
}
void port_tcp_flush(void) {}
bool port_tcp_sent(void) { return next() % 4; }

static enum port_reset said_reason;
static bool said_crash;
static bool is_line(const char *line, const uint8_t *bytes, size_t length) {
  return length >= strlen(line) && memcmp(bytes, line, strlen(line)) == 0;
}
void port_serial_write(const uint8_t *bytes, size_t length) {
  read_all(bytes, length);
  if (is_line("holdfast: boot ", bytes, length)) said_reason = reset_reason;
  if (is_line("holdfast: crash cause=29 at=402149a0 address=00000004\r\n", bytes, length)) said_crash = true;
}

static void check_pin(unsigned pin) { require(pin <= 16 && (pin < 6 || pin > 11)); }
void port_gpio_write(unsigned pin, bool high) { check_pin(pin), (void)high; }
bool port_gpio_read(unsigned pin) { return check_pin(pin), next() & 1; }
void port_line(unsigned pin, bool released) { check_pin(pin), (void)released; }
bool port_line_read(unsigned pin) { return check_pin(pin), next() % 8 != 7; }
unsigned port_adc_read(void) { return next_word() % 1024; }
void port_pwm(unsigned pin, unsigned duty, unsigned hz) {
  check_pin(pin);
  require(duty <= 1023 && hz >= 1 && hz <= 1000);
}

/* ---- The module: its memory and random behaviour ---- */

#define MODULE 4096
static uint8_t *module;
static const char *trapped;
const char *const engine_names[ENGINE_FUNCTIONS] = {
  "registers", "init", "opened", "closed", "received", "poll", "take", "room", "write",
};

void *engine_at(uint32_t address, uint32_t length) {
  if (address > MODULE || length > MODULE - address) return 0;
  return module + address;
}
const char *engine_trap(void) { return trapped; }
bool engine_has(enum engine_function function) { return (void)function, next() & 1; }

bool engine_returns(enum engine_function function) { return (void)function, next() & 1; }

static bool configures; /* its imports stay the same while it is loaded */
bool engine_imports(uint32_t (*call)(const uint32_t *arguments)) { return (void)call, configures; }

const char *engine_load(const uint8_t *wasm, size_t length, const struct engine_import *imports,
                        uint32_t (*needed)(void)) {
  require(wasm >= flash + 0xf0000 && wasm + length <= flash + 0xfa000 && imports[0].module);
  trapped = 0;
  configures = next() & 1;
  needed();
  return next() % 16 == 15 ? "refused: for a reason" : 0;
}

static bool inside;

uint32_t engine_call(enum engine_function function, uint32_t a, uint32_t b) {
  (void)a;
  if (trapped) return 0;
  require(!inside); /* no function is called while another runs */
  require(function != CORE_RECEIVED || tcp_open); /* bytes of a connection end with it */
  if (!left) return 0;
  inside = true;
  /* It writes to its memory: to its registers, mostly. */
  for (unsigned n = next() % 8; n--;) {
    unsigned at = next() < 0xf0 ? 64 + next() % (R_SIZE / 4) * 4 : next_word() % (MODULE - 4) & ~3u;
    uint32_t word = next_word();
    memcpy(module + at, &word, 4);
  }
  unsigned imports = 0;
  while (application_imports[imports].module) imports++;
  for (unsigned n = next() % 4; n--;) {
    uint32_t arguments[4] = {next_word(), next_word(), next_word(), next_word()};
    application_imports[next() % imports].call(arguments);
  }
  inside = false;
  if (next() == 0xff) return trapped = "[trap] unreachable executed", 0u;
  if (function == CORE_REGISTERS) return next() < 0xf0 ? 64 : next_word();
  if (function != CORE_POLL) return next_word();
  /* It knows whether it has a connection, and respects what it is told it can do; the rest is random. */
  unsigned event = next() % 6;
  if (event == CORE_CONNECT && tcp_asked) return CORE_NONE;
  if (event == CORE_SEND && !(b & CORE_CAN_SEND)) return CORE_NONE;
  return event;
}

/* ---- Events ---- */

static void feed(unsigned what) {
  uint8_t chunk[256];
  size_t length = next();
  for (size_t i = 0; i < length; i++) chunk[i] = (uint8_t)next();
  uint8_t *exact = malloc(length);
  memcpy(exact, chunk, length);
  if (what == 0) firmware_serial(exact, length);
  else if (tcp_open && length) require(firmware_tcp_received(exact, length) <= length);
  free(exact);
}

static void happen(void) {
  switch (next() % 10) {
    case 0: feed(0); break;
    case 1:
    case 2: feed(1); break;
    case 3:
      if (tcp_asked && !tcp_open) tcp_open = true, firmware_tcp_opened();
      break;
    case 4:
      if (tcp_asked) {
        bool unknown = !tcp_open && next() % 2;
        tcp_asked = tcp_open = false;
        if (unknown) firmware_tcp_no_address();
        else firmware_tcp_closed();
      }
      break;
    case 5:
      if (wifi_on) firmware_wifi(next() % 7);
      break;
    case 6: now_us += next_word(); break;
    case 7:
      if (scan_answer) {
        void (*answer)(const char *, int, bool) = scan_answer;
        scan_answer = 0;
        for (unsigned n = next() % 4; n--;) answer("a network with quite a long name", -(int)(next_word() % 120), next() & 1);
        answer(0, 0, false);
      }
      break;
    default: require(firmware_run() <= 60000); break;
  }
}

/* A sector with which the firmware can start, unless the input says otherwise. */
static void write_flash(void) {
  memset(flash + 0xf0000, 0xff, 0xb000);
  static const uint8_t wasm[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};
  uint32_t header[24] = {0x50414648, 96 << 16 | 2, sizeof wasm, crc32(0, wasm, sizeof wasm), 0x6e69616d};
  header[13] = 1;
  header[14] = ~0x10u;
  header[15] = crc32(0, header + 1, 52);
  memcpy(flash + 0xf0000, header, sizeof header);
  memcpy(flash + 0xf0000 + sizeof header, wasm, sizeof wasm);
  static const uint8_t fields[] =
    "\1\4Home\3\1a\5\1" "1\x9\1\1"
    "\xb\1z\xc\x10\xc0\xa8\1\x32\xff\xff\xff\0\xc0\xa8\1\1\0\0\0\0\xd\2GR";
  static uint8_t bytes[SETTINGS_USED];
  settings_clear(bytes);
  require(settings_change(bytes, fields, sizeof fields - 1));
  memcpy(flash + 0xfa000, bytes, sizeof bytes);
  /* The other slot may also have one: on trial, or fallen back. */
  if (next() % 4 == 3) {
    header[13] = 2;
    header[14] = next() % 2 ? 0xffffffff : 0xfffffef0;
    header[15] = crc32(0, header + 1, 52);
    memcpy(flash + 0xf5000, header, sizeof header);
    memcpy(flash + 0xf5000 + sizeof header, wasm, sizeof wasm);
  }
  for (unsigned n = next() % 4; n--;) flash[0xf0000 + next() % 2 * 0x5000 + next() % 64] = (uint8_t)next();
  for (unsigned n = next() % 4; n--;) flash[0xfa000 + next()] = (uint8_t)next();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input = data;
  left = size;
  if (!module) module = malloc(MODULE); /* the sanitizer knows its end */
  memset(module, 0, MODULE);
  memset(kept_words, 0, sizeof kept_words);
  wifi_on = tcp_asked = tcp_open = inside = false;
  scan_answer = 0;
  trapped = 0;
  now_us = 0;
  write_flash();
  /* As after a reset. */
  running = configured = choice = other_wifi = failed = restart = false;
  last_wifi = -1;
  memset(&wifi, 0, sizeof wifi);
  memset(&reader, 0, sizeof reader);
  application_reset();
  if (setjmp(restarted) == 0) {
    said_crash = false;
    firmware_start();
    require(said_crash == (said_reason == RESET_EXCEPTION));
    while (left) happen();
  }
  return 0;
}
