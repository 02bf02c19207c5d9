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

/* The SDK's microseconds wrap after 71 minutes: called much more often than that, by the loop. */
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

/* Blocks of 4 bytes in RTC memory. The SDK has those up to 63, we have 64 to 191: all of them. (Its updater, which is
 * not used, would want the first 32.) */
#define KEPT_BLOCK 64
#define NOTE_BLOCK (KEPT_BLOCK + PORT_KEPT_WORDS)
#define NOTE_RESTART 0x52535452u
_Static_assert(NOTE_BLOCK < 192, "RTC memory ends there");

/* The ROM's: why the hardware was reset the last time. A restart by the SDK is no reset of the hardware. */
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

/* `system_restart` only sets a timer and returns; this is what it does when the timer fires. */
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

/* A loop that never ends does not get here: it is ended by the SDK's own watchdog, after 3 seconds, or by the
 * hardware's after 8. This one is for a firmware that goes on, and gets nowhere. */
static void check_watchdog(void *unused) {
  (void)unused;
  if (port_ms() - fed_at > WATCHDOG_MS) restart();
}

void port_feed_watchdog(void) {
  fed_at = port_ms();
  system_soft_wdt_feed(); /* the 3 seconds start again, too: I2C can take longer than that */
}

static enum port_reset read_reset_reason(void) {
  uint32_t note = 0, none = 0;
  system_rtc_mem_read(NOTE_BLOCK, &note, sizeof note);
  system_rtc_mem_write(NOTE_BLOCK, &none, sizeof none);
  switch (system_get_rst_info()->reason) {
    case REASON_WDT_RST:
    case REASON_SOFT_WDT_RST: return RESET_WATCHDOG;
    case REASON_EXCEPTION_RST: return RESET_EXCEPTION;
    /* The SDK calls the end of its own watchdog a restart, too. */
    case REASON_SOFT_RESTART: return note == NOTE_RESTART ? RESET_SOFTWARE : RESET_WATCHDOG;
    case REASON_DEEP_SLEEP_AWAKE: return RESET_WAKE;
    case REASON_EXT_SYS_RST: return RESET_EXTERNAL;
    /* Nor has it noticed the hardware's watchdog, if that bit while interrupts were off. */
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

/* ---- Memory and chance ---- */

/* What WiFi and TCP may come to need, at most, beside what they have taken by now. */
#define HEAP_FOR_SDK (16 * 1024)

/* The heap tells how much it has, not in which pieces: where there is none of that length, shorter ones are tried. */
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
