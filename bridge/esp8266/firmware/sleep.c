#include "sleep.h"

#include "console.h"
#include "core.h"
#include "deploy.h"
#include "driver.h"
#include "port.h"
#include "slept.h"
#include "words.h"

/* Interval between checks while something keeps the chip awake, in ms. */
#define RETRY 1000

/* Whole words, as they are in memory that can only be written in words. */
static uint32_t asked IN_WORDS; /* ms; 0: it must stay awake */
static uint32_t asked_at IN_WORDS;
static uint32_t hopeless IN_WORDS;
static uint32_t told_server IN_WORDS; /* the link on which the server was told, counted from 1 */
static uint32_t untell IN_WORDS;      /* the link on which the server must be told that the sleep is cancelled */
static uint32_t told_people IN_WORDS;

void sleep_begin(void) {
  asked = untell = told_server = 0;
}

void sleep_hopeless(void) {
  hopeless = true;
}

bool sleep_ask(int32_t ms) {
  bool fits = !slept_waits() && (driver_dialect() != 2 || slept_gather() >= 0);
  asked = ms > 0 && fits ? ms : 0;
  asked_at = port_ms();
  hopeless = told_people = false;
  if (!asked && told_server) untell = told_server;
  told_server = 0;
  return asked != 0;
}

static void __attribute__((noreturn)) go(int32_t bytes) {
  console_begin("sleep ms=");
  console_number(asked);
  console_text(" waiting=");
  console_number(core_get(R_TX_NEXT) - core_get(R_TX_FIRST));
  console_end();
  slept_go(asked, driver_owner(), driver_dialect() == 2, bytes);
}

/* Tells the server how long the chip sleeps; 0: the sleep is cancelled. Without qos, as this is useless later. */
static bool tell_server(uint32_t seconds) {
  if (driver_dialect() != 2) return true; /* the server would not understand it */
  uint8_t text[3 + 10];
  size_t at = sizeof text;
  do text[--at] = '0' + seconds % 10;
  while (seconds /= 10);
  text[--at] = ' ';
  text[--at] = 's';
  text[--at] = 2;
  return core_write(text + at, sizeof text - at, false);
}

void sleep_run(uint32_t now, bool linked, uint32_t *wait) {
  uint32_t link = core_get(R_CONNECTS);
  if (untell && (!linked || untell != link || tell_server(0))) untell = 0;
  if (!asked) return;
  if (deploy_busy(now)) { /* sleeps after that */
    if (*wait > RETRY) *wait = RETRY;
    return;
  }
  if (linked && told_server != link && tell_server((asked + 999) / 1000)) {
    told_server = link;
    *wait = 0;
  }
  uint32_t waiting = core_get(R_TX_NEXT) - core_get(R_TX_FIRST);
  uint32_t passed = now - asked_at;
  bool drained = linked && told_server == link && !waiting && port_tcp_sent();
  if (!drained && passed < SLEEP_DRAIN && !hopeless) {
    if (SLEEP_DRAIN - passed < *wait) *wait = SLEEP_DRAIN - passed;
    return;
  }
  if (driver_dialect() != 2 && waiting) { /* dialect 1 has no positions: messages without an ack cannot be saved */
    if (*wait > RETRY) *wait = RETRY;
    return;
  }
  int32_t bytes = slept_gather();
  if (bytes >= 0) {
    driver_sleep(now);
    bytes = slept_gather(); /* fewer bytes: messages without qos were withdrawn */
    if (asked && bytes >= 0) go(bytes);
    port_tcp_close(); /* stays awake: the link starts again */
    if (!asked) return;
  }
  if (!told_people) {
    told_people = true;
    console_line("sleep put off: messages without an ack do not fit the memory that survives sleep");
  }
  if (*wait > RETRY) *wait = RETRY;
}
