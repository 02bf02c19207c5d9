#include "sleep.h"

#include "application.h"
#include "bytes.h"
#include "console.h"
#include "crc32.h"
#include "deploy.h"
#include "driver.h"
#include "words.h"

/* The record, behind the application's words. Valid from just before a sleep until the start after it. */
#define RECORD (PORT_KEPT_OWN + PORT_KEPT_APPLICATION)
#define MAGIC 0x31534648u /* "HFS1" */
enum {
  W_MAGIC,
  W_OWNER,
  W_MS,    /* the device's milliseconds when the sleep is over */
  W_LEFT,  /* ms to sleep after the next start: the chip cannot sleep for so long at once */
  W_EPOCH, /* of the device's stream; 0: there is none */
  W_FIRST, /* number of the first message that was saved */
  W_SIZES, /* words that the application has used, from the lowest; bytes of the messages << 16 */
  W_LEASE, /* struct port_lease, in whose `seconds` is the ms until which its address can be used */
  W_SUM = W_LEASE + sizeof(struct port_lease) / 4,
  WORDS
};
_Static_assert(WORDS == PORT_KEPT_SLEEP, "the record fits its words");

/* What keeps the chip awake is looked at again after so many ms. */
#define RETRY 1000

#define MESSAGES (PORT_KEPT_APPLICATION * 4)

static uint32_t record[WORDS] IN_WORDS; /* as it was at the start; its lease as it is now */
static uint32_t messages[MESSAGES / 4] IN_WORDS;
static bool woke;
static uint32_t asked;    /* ms; 0: it is to stay awake */
static uint32_t asked_at;
static bool hopeless;
static uint32_t told_server; /* on which link: of so many, counted from 1 */
static uint32_t untell;      /* the server was told so on this link, and it is not so any more */
static bool told_people;

static uint32_t used(void) {
  return record[W_SIZES] & 0xffff;
}

static size_t size(void) {
  return record[W_SIZES] >> 16;
}

static uint32_t sum(void) {
  return crc32(crc32(0, record, W_SUM * 4), messages, size());
}

static void sleep_for(uint32_t ms) {
  uint32_t leg = ms < PORT_MOST_SLEEP ? ms : PORT_MOST_SLEEP;
  record[W_LEFT] = ms - leg;
  record[W_SUM] = sum();
  port_kept_write(RECORD, record, WORDS);
  port_sleep(leg);
}

static bool read_record(void) {
  port_kept_read(RECORD, record, WORDS);
  if (record[W_MAGIC] != MAGIC || used() * 4 + size() > MESSAGES) return false;
  port_kept_read(PORT_KEPT_OWN + used(), messages, (size() + 3) / 4);
  return record[W_SUM] == sum();
}

void sleep_begin(void) {
  asked = untell = told_server = 0;
  woke = read_record();
  if (!woke) {
    for (unsigned i = 0; i < WORDS; i++) record[i] = 0;
    return;
  }
  application_kept_used = used() * 4;
  /* A start for another reason, by the reset pin perhaps, ends all of the sleep. */
  if (record[W_LEFT] && port_reset_reason() == RESET_WAKE) sleep_for(record[W_LEFT]);
  uint32_t none = 0;
  port_kept_write(RECORD, &none, 1); /* what is taken up now must not be taken up again after a crash */
}

bool sleep_woke(void) {
  return woke;
}

uint32_t sleep_ms(uint32_t now) {
  return record[W_MS] + now;
}

struct core_position sleep_stream(uint32_t owner) {
  if (record[W_OWNER] != owner) record[W_EPOCH] = 0;
  return (struct core_position){ record[W_EPOCH], record[W_FIRST] };
}

void sleep_replay(void) {
  const uint8_t *bytes = (const uint8_t *)messages;
  for (size_t at = 0, end; at < size(); at = end + 1) {
    for (end = at; end < size() && bytes[end] != '\n'; end++) {}
    core_restore(bytes + at, end - at);
  }
  record[W_EPOCH] = 0; /* once */
}

/* ---- WiFi ---- */

static struct port_lease *lease(void) {
  return (struct port_lease *)(record + W_LEASE);
}

const struct port_lease *sleep_lease(uint32_t now) {
  if (!lease()->access_point[1]) return 0;
  if ((int32_t)(lease()->seconds - sleep_ms(now)) <= 0) lease()->ip[0] = 0;
  return lease();
}

void sleep_joined(uint32_t now) {
  struct port_lease seen;
  if (!port_wifi_lease(&seen)) return;
  /* Half of the time for which it was given: then it would be asked for again. */
  if (seen.seconds) {
    uint32_t seconds = seen.seconds / 2 < 1000000 ? seen.seconds / 2 : 1000000;
    seen.seconds = sleep_ms(now) + seconds * 1000;
    words_copy(record, W_LEASE * 4, &seen, sizeof seen);
  } else {
    words_copy(record, W_LEASE * 4 + offsetof(struct port_lease, access_point), seen.access_point, sizeof seen.access_point);
  }
}

void sleep_hopeless(void) {
  hopeless = true;
}

/* ---- Going to sleep ---- */

/* Puts what waits into `messages`; how many bytes those are, or -1: they do not fit. */
static int32_t save(void) {
  return core_save(messages, MESSAGES - (application_kept_used + 3) / 4 * 4);
}

bool sleep_ask(int32_t ms) {
  bool fits = !record[W_EPOCH] && (driver_dialect() != 2 || save() >= 0);
  asked = ms > 0 && fits ? ms : 0;
  asked_at = port_ms();
  hopeless = told_people = false;
  if (!asked && told_server) untell = told_server;
  told_server = 0;
  return asked != 0;
}

static void go(int32_t bytes) {
  record[W_MAGIC] = MAGIC;
  record[W_OWNER] = driver_owner();
  record[W_MS] = sleep_ms(port_ms()) + asked;
  record[W_EPOCH] = driver_dialect() == 2 ? core_get(R_TX_EPOCH) : 0;
  record[W_FIRST] = core_get(R_TX_FIRST);
  record[W_SIZES] = (application_kept_used + 3) / 4 | (uint32_t)bytes << 16;
  port_kept_write(PORT_KEPT_OWN + used(), messages, (size() + 3) / 4);
  console_begin("sleep ms=");
  console_number(asked);
  console_text(" waiting=");
  console_number(core_get(R_TX_NEXT) - core_get(R_TX_FIRST));
  console_end();
  sleep_for(asked);
}

/* Says for how long, 0: not at all, in a message of the firmware's own: as of no use later, without qos. */
static bool tell_server(uint32_t seconds) {
  if (driver_dialect() != 2) return true; /* nobody would understand it */
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
  if (deploy_busy(now)) { /* it sleeps when that is over */
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
  if (driver_dialect() != 2 && waiting) { /* it has no positions: what is not acknowledged cannot be saved */
    if (*wait > RETRY) *wait = RETRY;
    return;
  }
  int32_t bytes = save();
  if (bytes >= 0) {
    driver_sleep(now);
    bytes = save(); /* less: what was of use on that link only has been withdrawn */
    if (asked && bytes >= 0) go(bytes);
    port_tcp_close(); /* it stays awake: the link begins anew */
    if (!asked) return;
  }
  if (!told_people) {
    told_people = true;
    console_line("sleep put off: what waits to be acknowledged does not fit into what is kept");
  }
  if (*wait > RETRY) *wait = RETRY;
}
