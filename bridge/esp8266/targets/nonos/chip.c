/* The chip itself: clock, resets, memory and flash. */
#include "sdk.h"

#include "mem.h"
#include "osapi.h"
#include "spi_flash.h"
#include "user_interface.h"

#include "parts.h"
#include "port.h"

/* ---- Clock ---- */

uint32_t port_us(void) {
  return system_get_time();
}

/* The SDK's microseconds wrap after 71 minutes: the loop calls this much more often. */
uint32_t port_ms(void) {
  static uint32_t ms, seen, rest;
  uint32_t now = system_get_time();
  rest += now - seen;
  seen = now;
  ms += rest / 1000;
  rest %= 1000;
  return ms;
}

void port_delay_us(uint32_t us) {
  os_delay_us(us);
}

/* ---- Resets ---- */

/* Blocks of 4 bytes in RTC memory. The SDK has those up to 63, we have all of 64 to 191. (The SDK's updater would need
 * the first 32 of them, but it is not used.) */
#define KEPT_BLOCK 64
#define NOTE_BLOCK (KEPT_BLOCK + PORT_KEPT_WORDS)
#define NOTE_RESTART 0x52535452u
_Static_assert(NOTE_BLOCK < 192, "RTC memory ends there");

/* The ROM's reason of the last hardware reset. A restart by the SDK is not one. */
uint32_t rtc_get_reset_reason(void);
#define HARDWARE_WATCHDOG 4

#define WATCHDOG_MS 20000

static enum port_reset reset_reason;
static uint32_t fed_at;
static os_timer_t watchdog_timer;

void port_kept_read(unsigned first, uint32_t *words, unsigned count) {
  system_rtc_mem_read(KEPT_BLOCK + first, words, count * 4);
}

void port_kept_write(unsigned first, const uint32_t *words, unsigned count) {
  system_rtc_mem_write(KEPT_BLOCK + first, words, count * 4);
}

/* `system_restart` only sets a timer and returns; this is the function that the timer calls. */
void system_restart_local(void);

static void __attribute__((noreturn)) restart(void) {
  serial_drain();
  wifi_station_disconnect();
  system_restart_local();
  for (;;) {}
}

void port_restart(void) {
  uint32_t note = NOTE_RESTART;
  system_rtc_mem_write(NOTE_BLOCK, &note, sizeof note);
  restart();
}

/* An endless loop does not get here: the SDK's own watchdog ends it after 3 seconds, or the hardware's after 8. This
 * one is for a firmware that runs on without progress. */
static void check_watchdog(void *unused) {
  (void)unused;
  if (port_ms() - fed_at > WATCHDOG_MS) restart();
}

void port_feed_watchdog(void) {
  fed_at = port_ms();
  system_soft_wdt_feed(); /* restarts the 3 seconds, too: I2C can take longer */
}

static enum port_reset read_reset_reason(void) {
  uint32_t note = 0, none = 0;
  system_rtc_mem_read(NOTE_BLOCK, &note, sizeof note);
  system_rtc_mem_write(NOTE_BLOCK, &none, sizeof none);
  switch (system_get_rst_info()->reason) {
    case REASON_WDT_RST:
    case REASON_SOFT_WDT_RST: return RESET_WATCHDOG;
    case REASON_EXCEPTION_RST: return RESET_EXCEPTION;
    /* The SDK also reports a reset by its own watchdog as a restart. */
    case REASON_SOFT_RESTART: return note == NOTE_RESTART ? RESET_SOFTWARE : RESET_WATCHDOG;
    case REASON_DEEP_SLEEP_AWAKE: return RESET_WAKE;
    case REASON_EXT_SYS_RST: return RESET_EXTERNAL;
    /* It does not notice a reset by the hardware's watchdog while interrupts were off. */
    default: return rtc_get_reset_reason() == HARDWARE_WATCHDOG ? RESET_WATCHDOG : RESET_POWER_ON;
  }
}

enum port_reset port_reset_reason(void) {
  return reset_reason;
}

bool port_crash(struct port_crash *crash) {
  const struct rst_info *info = system_get_rst_info();
  *crash = (struct port_crash){.cause = info->exccause, .instruction = info->epc1, .address = info->excvaddr};
  return info->reason == REASON_EXCEPTION_RST;
}

void chip_begin(void) {
  reset_reason = read_reset_reason();
  port_feed_watchdog();
  os_timer_setfn(&watchdog_timer, check_watchdog, 0);
  os_timer_arm(&watchdog_timer, 1000, true);
}

/* ---- Memory and random numbers ---- */

/* Most heap that WiFi and TCP may still need, in bytes. */
#define HEAP_FOR_SDK (16 * 1024)

/* The SDK gives the free bytes, but not the largest block: if no block has that length, shorter ones are tried. */
#define HEAP_STEP 512

static uint8_t *given; /* to the application */

void *port_memory(size_t least, size_t most, size_t *length) {
  if (given) os_free(given);
  given = 0;
  uint32_t free = system_get_free_heap_size();
  size_t taken = HEAP_FOR_SDK + 8, spare = free > taken ? free - taken : 0; /* 8: to align it */
  size_t size = (most < spare ? most : spare) & ~(size_t)7;
  while (size && size >= least && !(given = os_malloc_dram(size + 8))) size -= size < HEAP_STEP ? size : HEAP_STEP;
  *length = given ? size : 0;
  return given ? given + (-(uintptr_t)given & 7) : 0;
}

uint32_t port_free_heap(void) {
  return system_get_free_heap_size();
}

uint32_t port_random(void) {
  return os_random();
}

/* ---- Flash ---- */

#define FLASH_WINDOW 0x40200000u

const void *port_flash_map(uint32_t address) {
  return (const void *)(uintptr_t)(FLASH_WINDOW + address);
}

bool port_flash_read(uint32_t address, uint32_t *words, size_t length) {
  return spi_flash_read(address, words, length) == SPI_FLASH_RESULT_OK;
}

bool port_flash_erase(uint32_t address) {
  return spi_flash_erase_sector(address / SPI_FLASH_SEC_SIZE) == SPI_FLASH_RESULT_OK;
}

bool port_flash_write(uint32_t address, const uint32_t *words, size_t length) {
  return spi_flash_write(address, (uint32_t *)words, length) == SPI_FLASH_RESULT_OK;
}
