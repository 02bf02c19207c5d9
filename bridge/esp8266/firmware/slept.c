#include "slept.h"

#include "application.h"
#include "crc32.h"
#include "words.h"

/* The record, behind the application's words. Valid from just before a sleep until the start after it. */
#define RECORD (PORT_KEPT_OWN + PORT_KEPT_APPLICATION)
#define MAGIC 0x31534648u /* "HFS1" */
enum {
  W_MAGIC,
  W_OWNER,
  W_MS,    /* the device's milliseconds when the sleep is over */
  W_LEFT,  /* ms to sleep after the next start, if the sleep is too long for the chip */
  W_EPOCH, /* of the device's stream; 0: there is no stream */
  W_FIRST, /* number of the first saved message */
  W_SIZES, /* words that the application has used, from the lowest; bytes of the messages << 16 */
  W_LEASE, /* struct port_lease; its `seconds` is the ms until which the address can be used */
  W_SUM = W_LEASE + sizeof(struct port_lease) / 4,
  WORDS
};
_Static_assert(WORDS == PORT_KEPT_SLEEP, "the record fits its words");

#define MESSAGES (PORT_KEPT_APPLICATION * 4)

static uint32_t record[WORDS] IN_WORDS; /* as at the start, but with the current lease */
static uint32_t messages[MESSAGES / 4] IN_WORDS;
static uint32_t used(void) {
  return record[W_SIZES] & 0xffff;
}

static size_t size(void) {
  return record[W_SIZES] >> 16;
}

static uint32_t sum(void) {
  return crc32(crc32(0, record, W_SUM * 4), messages, size());
}

static void __attribute__((noreturn)) go_on(uint32_t ms) {
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

void slept_begin(void) {
  application_woke = read_record();
  if (!application_woke) {
    for (unsigned i = 0; i < WORDS; i++) record[i] = 0;
  }
  application_kept_used = used() * 4;
  application_ahead = record[W_MS];
  if (!application_woke) return;
  /* A start for another reason, perhaps by the reset pin, ends the whole sleep. */
  if (record[W_LEFT] && port_reset_reason() == RESET_WAKE) go_on(record[W_LEFT]);
  uint32_t none = 0;
  port_kept_write(RECORD, &none, 1); /* it must not be used again after a crash */
}

struct core_position slept_stream(uint32_t owner) {
  if (record[W_OWNER] != owner) record[W_EPOCH] = 0;
  return (struct core_position){ record[W_EPOCH], record[W_FIRST] };
}

void slept_replay(void) {
  const uint8_t *bytes = (const uint8_t *)messages;
  for (size_t at = 0, end; at < size(); at = end + 1) {
    for (end = at; end < size() && bytes[end] != '\n'; end++) {}
    core_restore(bytes + at, end - at);
  }
  record[W_EPOCH] = 0; /* only once */
}

/* ---- WiFi ---- */

static struct port_lease *lease(void) {
  return (struct port_lease *)(record + W_LEASE);
}

const struct port_lease *slept_lease(uint32_t now) {
  if (!lease()->access_point[1]) return 0;
  if ((int32_t)(lease()->seconds - (now + application_ahead)) <= 0) lease()->ip[0] = 0;
  return lease();
}

void slept_joined(uint32_t now) {
  struct port_lease seen;
  if (!port_wifi_lease(&seen)) return;
  /* Half of the lease time: then a client would renew the lease. */
  if (seen.seconds) {
    uint32_t seconds = seen.seconds / 2 < 1000000 ? seen.seconds / 2 : 1000000;
    seen.seconds = now + application_ahead + seconds * 1000;
    words_copy(record, W_LEASE * 4, &seen, sizeof seen);
  } else {
    words_copy(record, W_LEASE * 4 + offsetof(struct port_lease, access_point), seen.access_point, sizeof seen.access_point);
  }
}

/* ---- Before a sleep ---- */

bool slept_waits(void) {
  return record[W_EPOCH] != 0;
}

int32_t slept_gather(void) {
  return core_save(messages, MESSAGES - (application_kept_used + 3) / 4 * 4);
}

void slept_go(uint32_t ms, uint32_t owner, bool has_stream, int32_t bytes) {
  record[W_MAGIC] = MAGIC;
  record[W_OWNER] = owner;
  record[W_MS] = port_ms() + application_ahead + ms;
  record[W_EPOCH] = has_stream ? core_get(R_TX_EPOCH) : 0;
  record[W_FIRST] = core_get(R_TX_FIRST);
  record[W_SIZES] = (application_kept_used + 3) / 4 | (uint32_t)bytes << 16;
  port_kept_write(PORT_KEPT_OWN + used(), messages, (size() + 3) / 4);
  go_on(ms);
}
