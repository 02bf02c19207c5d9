/*
 * The ESP8266 on Espressif's NONOS SDK: start and event loop.
 *
 * The SDK may call back at any time, even from within functions of its own that the firmware has called. So a callback
 * only notes the event and wakes the task, which reports it to the firmware: one event at a time. The parts do not
 * depend on this file: it calls them, and they wake the task.
 */
#include "sdk.h"

#include "mem.h"
#include "osapi.h"
#include "user_interface.h"

#include "parts.h"
#include "port.h"
#include "task.h"

const char port_board[] = "nonos";

/* ---- The SDK's partition table ---- */

/* The SDK keeps its own data in the last sectors of the flash, beside its system parameters, whose place follows from
 * the size in the image's header. The SDK keeps the pointer. */
static partition_item_t partitions[] = {
  { SYSTEM_PARTITION_CUSTOMER_BEGIN, 0x0, 0x10000 },          /* the image that the ROM starts */
  { SYSTEM_PARTITION_CUSTOMER_BEGIN + 1, 0x10000, 0xE0000 },  /* code */
  { SYSTEM_PARTITION_CUSTOMER_BEGIN + 2, 0xF0000, 0xB000 },   /* application, settings */
  { SYSTEM_PARTITION_RF_CAL, 0xFB000, 0x1000 },
  { SYSTEM_PARTITION_PHY_DATA, 0xFC000, 0x1000 },
  { SYSTEM_PARTITION_SYSTEM_PARAMETER, 0xFD000, 0x3000 },
};

void user_pre_init(void) {
  words_clear();
  enum flash_size_map map = system_get_flash_size_map();
  if (map == FLASH_SIZE_32M_MAP_512_512) {
    for (unsigned i = 3; i < 6; i++) partitions[i].addr += 0x300000;
  }
  if (!system_partition_table_regist(partitions, sizeof partitions / sizeof *partitions, map)) {
    for (;;) {} /* the SDK has printed why; without its table it could write anywhere. The hardware's watchdog resets */
  }
}

/* ---- Sleep ---- */

/* Time to send a packet, even if it must be repeated. */
#define SENDING_US 10000

/* Like `system_restart`, `system_deep_sleep` only sets a timer and returns; this calls the timer's function. */
void port_sleep(uint32_t ms) {
  tcp_finish();
  os_delay_us(SENDING_US);
  serial_drain();
  wifi_station_disconnect();
  system_deep_sleep_instant(ms * (uint64_t)1000);
  for (;;) {}
}

/* ---- The loop ---- */

static bool started;
static os_event_t queue[2];
static os_timer_t run_timer;

static void wake_by_timer(void *unused) {
  (void)unused;
  task_wake();
}

static void run(os_event_t *unused) {
  (void)unused;
  task_clear();
  if (!started) return;
  os_timer_disarm(&run_timer);
  serial_tell();
  wifi_tell();
  tcp_tell();
  uint32_t wait = firmware_run();
  if (tcp_offer()) wait = 0;
  if (wait == 0) task_wake();
  else os_timer_arm(&run_timer, wait, false);
}

/* Calls `function` on another stack, which ends at `top`: starting needs more stack than the SDK has. */
void call_on_stack(void (*function)(void), void *top);

#define START_STACK 6144

static void start(void) {
  chip_begin();
  wifi_begin();
  uint8_t *stack = os_malloc_dram(START_STACK);
  if (!stack) { /* the firmware has not allocated anything yet: the SDK has left too little */
    static const uint8_t words[] = "holdfast: no memory to start with\r\n";
    port_serial_write(words, sizeof words - 1);
    port_restart();
  }
  call_on_stack(firmware_start, (void *)((uintptr_t)(stack + START_STACK) & ~(uintptr_t)15));
  os_free(stack);
  started = true;
  task_wake();
}

void user_init(void) {
  /* The task first: received bytes of the serial line are posted to it from now on. */
  os_timer_setfn(&run_timer, wake_by_timer, 0);
  system_os_task(run, USER_TASK_PRIO_0, queue, sizeof queue / sizeof *queue);
  serial_begin();
  system_set_os_print(0);
  wifi_set_opmode_current(STATION_MODE);
  system_init_done_cb(start);
}
