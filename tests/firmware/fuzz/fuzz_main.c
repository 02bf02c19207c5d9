/*
 * libFuzzer: the chip's start, loop, clock and WiFi (targets/nonos/main.c, task.c, chip.c and wifi.c) between the
 * vendor's SDK, which calls back in any order, and a firmware that counts. Ends the program when a promise of port.h is
 * broken: an event for which the firmware is not run, a call within another, a missed deadline.
 * Long because it contains all of the SDK that these four files use.
 */
#include <setjmp.h>
#include <string.h>

#include "input.h"

/* Included here, so that their state can be reset before each input. */
#include "task.c"
#include "chip.c"
#include "main.c"
#include "wifi.c"

/* There is no word-only memory here. */
void words_clear(void) {}

/* ---- The SDK ---- */

static uint32_t now; /* microseconds; it wraps */
static os_task_t task;
static unsigned posted;
static init_done_cb_t init_done;
static void (*wifi_handler)(System_Event_t *);
static bool wifi_asked, connected;
static uint32_t rtc[192];
static jmp_buf reset;
static bool running_task;
static os_timer_t *timers[4];
static uint32_t due[4]; /* ms */
static uint32_t clock_ms;
static enum flash_size_map map;

uint32_t system_get_time(void) { return now; }
uint32_t system_get_chip_id(void) { return 0xabc123; }
void system_soft_wdt_feed(void) {}
void system_set_os_print(uint8_t on) { (void)on; }
void system_init_done_cb(init_done_cb_t done) { init_done = done; }
unsigned long os_random(void) { return next(); }
void os_delay_us(uint32_t us) { now += us; }

/* How much heap is left, and its largest piece; and the blocks taken: the start's stack, the application. */
static size_t heap_left, heap_piece;
static struct { void *at; size_t length; } blocks[2];
uint32_t system_get_free_heap_size(void) { return (uint32_t)heap_left; }
void *os_malloc_dram(size_t length) {
  if (length > heap_left || length > heap_piece) return 0;
  unsigned i = blocks[0].at != 0;
  require(length && !blocks[i].at);
  heap_left -= blocks[i].length = length;
  return blocks[i].at = malloc(length);
}
void os_free(void *block) {
  unsigned i = block != blocks[0].at;
  require(block && block == blocks[i].at); /* it must be a block that was not freed yet */
  heap_left += blocks[i].length;
  free(block);
  blocks[i].at = 0;
}

bool system_rtc_mem_read(uint8_t block, void *to, uint16_t length) {
  require(block >= 64 + 32 && length % 4 == 0 && block + length / 4 <= 192);
  memcpy(to, rtc + block, length);
  return true;
}
bool system_rtc_mem_write(uint8_t block, const void *from, uint16_t length) {
  require(block >= 64 + 32 && length % 4 == 0 && block + length / 4 <= 192);
  memcpy(rtc + block, from, length);
  return true;
}

enum flash_size_map system_get_flash_size_map(void) { return map; }
bool system_partition_table_regist(const partition_item_t *table, uint32_t count, uint32_t of) {
  uint32_t end = 0, size = map == FLASH_SIZE_32M_MAP_512_512 ? 0x400000 : 0x100000;
  require(of == map);
  for (uint32_t i = 0; i < count; i++) {
    require(table[i].addr >= end && table[i].addr % 4096 == 0 && table[i].size % 4096 == 0);
    end = table[i].addr + table[i].size;
    if (table[i].type == SYSTEM_PARTITION_SYSTEM_PARAMETER) require(table[i].addr == size - 0x3000);
  }
  require(end == size);
  return true;
}

bool system_os_task(os_task_t function, uint8_t priority, os_event_t *events, uint8_t length) {
  require(priority == USER_TASK_PRIO_0 && events && length >= 1 && !task);
  task = function;
  return true;
}
bool system_os_post(uint8_t priority, uint32_t signal, uint32_t parameter) {
  (void)priority, (void)signal, (void)parameter;
  if (!task) return false; /* lost */
  require(++posted <= 2); /* as many as the queue holds */
  return true;
}

void os_timer_setfn(os_timer_t *timer, void (*function)(void *), void *argument) {
  timer->function = function;
  timer->argument = argument;
}
void os_timer_arm(os_timer_t *timer, uint32_t ms, bool repeats) {
  require(ms > 0 && timer->function);
  timer->period = ms;
  timer->armed = true;
  timer->repeats = repeats;
  unsigned i = 0;
  while (timers[i] && timers[i] != timer) require(++i < 4);
  timers[i] = timer;
  due[i] = clock_ms + ms;
}
void os_timer_disarm(os_timer_t *timer) { timer->armed = false; }

int spi_flash_erase_sector(uint16_t sector) { return (void)sector, SPI_FLASH_RESULT_OK; }
int spi_flash_write(uint32_t a, uint32_t *w, uint32_t n) { return (void)a, (void)w, (void)n, SPI_FLASH_RESULT_OK; }
int spi_flash_read(uint32_t a, uint32_t *w, uint32_t n) { return (void)a, (void)w, (void)n, SPI_FLASH_RESULT_ERR; }

uint8_t wifi_get_opmode_default(void) { return 2; }
bool wifi_set_opmode(uint8_t mode) { return mode == STATION_MODE; }
bool wifi_set_opmode_current(uint8_t mode) { return mode == STATION_MODE; }
uint8_t wifi_station_get_auto_connect(void) { return 1; }
bool wifi_station_set_auto_connect(uint8_t on) { return !on; }
bool wifi_set_sleep_type(int type) { return type == NONE_SLEEP_T; }
bool wifi_station_set_hostname(char *name) { return require(strcmp(name, "holdfast-abc123") == 0), true; }
/* What the firmware has asked for, and what the SDK has got: they must agree when it connects. */
static struct port_wifi asked;
static uint32_t asked_ip[4];
static wifi_country_t country;
static struct ip_info fixed;
static uint32_t fixed_dns;
static bool dhcp;

bool wifi_station_set_config_current(struct station_config *config) {
  require(config->ssid[0] && config->bssid_set == (asked.known != 0) && config->all_channel_scan == !asked.known);
  const uint8_t *known = asked.known ? (const uint8_t *)asked.known->access_point : 0;
  require(known ? !memcmp(config->bssid, known, 6) && config->channel == known[6] : config->channel == 0);
  require(config->threshold.rssi == 0 && !config->open_and_wep_mode_disable);
  return next() % 8 != 7;
}
bool wifi_set_country(wifi_country_t *to) {
  require(to->schan == 1 && to->nchan && to->schan + to->nchan <= 15);
  return country = *to, true;
}
enum dhcp_status wifi_station_dhcpc_status(void) { return dhcp ? DHCP_STARTED : DHCP_STOPPED; }
bool wifi_station_dhcpc_start(void) { return dhcp = true; }
bool wifi_station_dhcpc_stop(void) { return dhcp = false, true; }
bool wifi_set_ip_info(uint8_t interface, struct ip_info *info) {
  if (interface != STATION_IF || dhcp) return false;
  return fixed = *info, true;
}
void tcp_use_dns(uint32_t address) { fixed_dns = address; }
void tcp_finish(void) {}
uint32_t tcp_dns(void) { return fixed_dns; }
uint32_t tcp_lease(void) { return dhcp ? 86400 : 0; }

bool wifi_station_connect(void) {
  const uint32_t *ip = asked.known && !asked_ip[0] ? asked.known->ip : asked_ip;
  require(dhcp == !ip[0]);
  if (ip[0]) {
    require(fixed.ip.addr == ip[0] && fixed.netmask.addr == ip[1] && fixed.gw.addr == ip[2]);
    require(!ip[3] || fixed_dns == ip[3]);
  }
  bool known = asked.country[0] != 0;
  require(country.policy == (known ? WIFI_COUNTRY_POLICY_MANUAL : WIFI_COUNTRY_POLICY_AUTO));
  if (known) require(!memcmp(country.cc, asked.country, 2) && country.nchan == (asked.country[0] == 'U' ? 11 : 13));
  return wifi_asked = true;
}
bool wifi_station_disconnect(void) { return wifi_asked = connected = false, true; }
bool wifi_get_ip_info(uint8_t interface, struct ip_info *info) {
  info->ip.addr = connected ? 0x0100a8c0 : 0;
  return interface == STATION_IF;
}
void wifi_set_event_handler_cb(void (*handler)(System_Event_t *event)) { wifi_handler = handler; }
static void (*scan_done)(void *, STATUS);
bool wifi_station_scan(void *config, void (*done)(void *result, STATUS status)) {
  require(!config && !scan_done);
  if (next() % 4 == 0) return false;
  scan_done = done;
  return true;
}

static bool has_started;
static size_t said;

#include "resets.h"

/* ---- The other parts of the board ---- */

void serial_begin(void) { task_wake(); } /* a byte can arrive as soon as it has begun */
static unsigned serial_bytes;
void serial_tell(void) {
  require(running_task);
  serial_bytes = 0;
}
void serial_drain(void) {}
void port_serial_write(const uint8_t *bytes, size_t length) {
  require(bytes[length - 1] == '\n');
  said += length;
}
void tcp_tell(void) { require(running_task); }
bool tcp_offer(void) { return next() % 8 == 7; }

/* ---- The firmware ---- */

static bool in_firmware, joined;
static bool wants_run; /* something has happened since it last ran */
static uint32_t deadline; /* ms */
static int last = -1; /* the last state that it was told */
static enum { UNKNOWN, CONNECTED, NOT_CONNECTED } truth; /* since it joined */
static bool handshake_failed, dhcp_timed_out; /* as the SDK has reported */
static uint32_t last_fed; /* ms */
static bool starving;

void call_on_stack(void (*function)(void), void *top) {
  require(((uintptr_t)top & 15) == 0);
  function();
}

static size_t memory(size_t least, size_t most) {
  size_t length;
  void *given_now = port_memory(least, most, &length);
  require(!given_now == !length && ((uintptr_t)given_now & 7) == 0);
  require(length == 0 || (length >= least && length <= most && length % 8 == 0));
  if (length) {
    memset(given_now, 1, length);
    require(heap_left >= 16 * 1024); /* the SDK's */
  }
  return length;
}

/* Takes as much as there is, then as much as is needed, or nothing. */
static void take_memory(void) {
  size_t before = heap_left;
  size_t most = memory(0, 8192);
  if (heap_piece >= 8192 + 8 && before >= 8192 + 8 + 16 * 1024) require(most == 8192);
  require(most || heap_piece < 1024 || before < 16 * 1024 + 1024);
  size_t needed = most / 16 * 8;
  require(memory(needed, needed) == needed);
  require(memory(32 * 1024, 32 * 1024) == 0 || heap_piece >= 32 * 1024);
  require(memory(0, 0) == 0 && heap_left == before);
  memory(needed, needed);
}

void firmware_start(void) {
  require(!has_started && !in_firmware);
  if (map == FLASH_SIZE_32M_MAP_512_512) take_memory();
  has_started = true;
  wants_run = true;
  last_fed = clock_ms;
  deadline = clock_ms;
}

static void scan_found_one(const char *ssid, int rssi, bool locked) {
  (void)locked;
  if (ssid) require(strlen(ssid) >= 1 && strlen(ssid) <= 32 && rssi <= 127);
}

static void join(void) {
  static const char *const countries[] = {"", "DE", "US"};
  static const uint32_t addresses[] = {0x3201a8c0, 0x00ffffff, 0x0101a8c0, 0x0101a8c0};
  unsigned how = next();
  bool fixed_address = how & 2;
  for (unsigned i = 0; i < 4; i++) asked_ip[i] = fixed_address ? addresses[i] : 0;
  if (how & 4) asked_ip[3] = 0;
  static struct port_lease known;
  bool is_known = how >= 128;
  known = (struct port_lease){.ip = {how & 64 ? 0x4201a8c0 : 0, 0x00ffffff, 0x0101a8c0, 0x0101a8c0},
                              .access_point = {0x33221100, 0x00065544}};
  asked = (struct port_wifi){"Home", how & 1 ? "correct horse" : "", countries[how / 8 % 3], asked_ip,
                             is_known ? &known : 0};
  port_wifi_join(&asked);
}

uint32_t firmware_run(void) {
  require(has_started && running_task && !in_firmware);
  in_firmware = true;
  wants_run = false;
  switch (next() % 8) {
    case 1:
      if (!joined) {
        joined = true;
        last = -1;
        truth = UNKNOWN;
        join();
      }
      break;
    case 2:
      joined = false;
      port_wifi_leave();
      break;
    case 3: port_wifi_scan(scan_found_one); break;
    case 4:
      if (next() != 255) break;
      truth_of_reset = RESET_SOFTWARE;
      port_restart();
      break;
    case 6:
      if (next() != 255) break;
      truth_of_reset = RESET_WAKE;
      port_sleep(1 + next() * 35000u);
    case 5: starving = true; break; /* from here on there is no progress */
    default:
      if (starving) break;
      port_feed_watchdog();
      last_fed = clock_ms;
      break;
  }
  in_firmware = false;
  uint32_t wait = next() * 16 % 15001;
  deadline = clock_ms + wait;
  return wait;
}

void firmware_wifi(enum firmware_wifi state) {
  require(running_task && !in_firmware && joined);
  require(state <= WIFI_ASSOCIATED);
  if (state == WIFI_ASSOCIATED) return; /* an intermediate state */
  if (state == WIFI_WRONG_PASSWORD) require(asked.password[0] || handshake_failed);
  if (state == WIFI_NO_DHCP) require(dhcp_timed_out);
  if (state == WIFI_UP) require(port_wifi_ip() != 0 || !connected);
  if (state == WIFI_LOST) require(last == WIFI_UP || last == -1 || last >= WIFI_LOST);
  last = state;
}

/* ---- Events ---- */

static void run_tasks(void) {
  for (unsigned i = 0; posted && i < 50; i++) {
    posted--;
    running_task = true;
    task(0);
    running_task = false;
    /* Whatever has happened meanwhile: the last state that it was told must be true. */
    if (joined && truth != UNKNOWN) require((last == WIFI_UP) == (truth == CONNECTED));
  }
}

static void pass(uint32_t ms) {
  uint32_t end_ms = clock_ms + ms;
  while (clock_ms != end_ms) {
    /* To the next timer, or the end. */
    uint32_t step = end_ms - clock_ms;
    for (unsigned i = 0; i < 4 && timers[i]; i++) {
      if (timers[i]->armed && due[i] - clock_ms < step) step = due[i] - clock_ms;
    }
    now += step * 1000;
    clock_ms += step;
    for (unsigned i = 0; i < 4 && timers[i]; i++) {
      if (!timers[i]->armed || due[i] != clock_ms) continue;
      if (timers[i]->repeats) due[i] += timers[i]->period;
      else timers[i]->armed = false;
      timers[i]->function(timers[i]->argument);
    }
    run_tasks();
    require(!has_started || (int32_t)(clock_ms - deadline) <= 0 || posted); /* it must have run by then */
    require(clock_ms - last_fed <= 21000); /* or the watchdog has fired: it checks once a second */
  }
}

static void tell_wifi(unsigned event, unsigned reason) {
  if (!wifi_handler) return;
  System_Event_t all = {.event = event};
  all.event_info.disconnected.reason = (uint8_t)reason;
  if (event == EVENT_STAMODE_GOT_IP) {
    if (!wifi_asked) return;
    connected = true;
  }
  if (event == EVENT_STAMODE_DISCONNECTED) connected = false;
  if (event == EVENT_STAMODE_DISCONNECTED) handshake_failed |= reason == 15 || reason == 202 || reason == 204;
  if (event == EVENT_STAMODE_DHCP_TIMEOUT) dhcp_timed_out = true;
  if (event == EVENT_STAMODE_GOT_IP) truth = CONNECTED;
  if (event == EVENT_STAMODE_DISCONNECTED || event == EVENT_STAMODE_DHCP_TIMEOUT) truth = NOT_CONNECTED;
  wifi_handler(&all);
}

static void happen(void) {
  static const uint8_t reasons[] = {1, 2, 8, 15, 200, 201, 202, 204};
  switch (next() % 8) {
    case 0: task_wake(); break; /* an interrupt */
    case 1: run_tasks(); break;
    case 2: pass(1 + next() * 4); break;
    case 3: tell_wifi(EVENT_STAMODE_GOT_IP, 0); break;
    case 4: tell_wifi(EVENT_STAMODE_DISCONNECTED, reasons[next() % 8]); break;
    case 5: tell_wifi(next() % 6, reasons[next() % 8]); break;
    case 6:
      if (scan_done) {
        void (*done)(void *, STATUS) = scan_done;
        scan_done = 0;
        struct bss_info two[2] = {{.ssid_len = 32, .rssi = -40}, {.ssid_len = (uint8_t)next(), .rssi = -70}};
        memset(two[0].ssid, 'a', 32);
        memset(two[1].ssid, 'b', 32);
        two[0].next.stqe_next = &two[1];
        done(two, next() % 4 ? OK : FAIL);
      }
      break;
    case 7:
      switch (next() % 16) {
        case 0: end(RESET_POWER_ON); break;
        case 1: end(RESET_EXTERNAL); break;
        case 2: end(RESET_EXCEPTION); break;
        case 4: end(RESET_WATCHDOG); break;
        case 3:
        case 7:
        case 11:
        case 15: pass(21000); break; /* does the watchdog fire? */
      }
      break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input = data;
  left = size;
  now = 0xfff00000; /* it wraps soon */
  memset(rtc, 0x5a, sizeof rtc);
  hardware_cause = 1 + next() % 2;
  kept_reason = hardware_cause == 2 ? REASON_EXT_SYS_RST : REASON_DEFAULT_RST;
  truth_of_reset = hardware_cause == 2 ? RESET_EXTERNAL : RESET_POWER_ON;
  map = next() & 1 ? FLASH_SIZE_32M_MAP_512_512 : FLASH_SIZE_8M_MAP_512_512;
  volatile unsigned resets = 0;
  /* Taken from the input's end, which is used otherwise as well: most inputs end with a small value. */
  size_t heap = size > 1 ? (255u - data[size - 1]) * 256 : 0, piece = size > 1 ? (255u - data[size - 2]) * 256 : 0;
  if (setjmp(reset)) {
    resets++;
    if (resets == 8) return 0;
  }
  /* As after a reset; RTC memory stays. */
  for (unsigned i = 0; i < 2; i++) free(blocks[i].at), blocks[i].at = 0;
  given = 0;
  heap_left = heap;
  heap_piece = piece;
  said = 0;
  task = 0;
  posted = 0;
  init_done = 0;
  wifi_handler = 0;
  scan_done = 0;
  scan_found = 0;
  memset(timers, 0, sizeof timers);
  running_task = in_firmware = has_started = joined = wants_run = wifi_asked = connected = false;
  starving = false;
  dhcp = true; /* as the SDK starts */
  handshake_failed = dhcp_timed_out = false;
  started = woken = wanted = has_address = false;
  news_count = 0;
  for (unsigned i = 3; i < 6; i++) partitions[i].addr = 0xfb000 + (i - 3) * 0x1000;
  sdk_starts();
  user_pre_init();
  user_init();
  run_tasks();
  require(!has_started && init_done);
  init_done();
  require(has_started);
  require((int)port_reset_reason() == truth_of_reset);
  struct port_crash crash;
  require(port_crash(&crash) == (truth_of_reset == RESET_EXCEPTION));
  truth_of_reset = -1;
  run_tasks();
  require(!wants_run); /* it must have run right after its start */
  while (left) happen();
  pass(20000);
  return 0;
}
