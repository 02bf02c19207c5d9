#include "slots.h"

#include "bytes.h"
#include "crc32.h"

#define AREA 0xF0000u
#define SLOT 0x5000u
#define SECTOR 4096u
/* Most bytes that one write of the flash chip covers. If power is lost meanwhile, any part of them may be written. */
#define PAGE 256u

#define MAGIC 0x50414648u /* "HFAP" */
#define BLANK 0xFFFFFFFFu

/* Words of a header, and its two versions. */
enum { H_MAGIC, H_KIND, H_LENGTH, H_CRC, H_NAME, H_VERSION = 12, H_SEQUENCE, H_STATE, H_CHECK, H_HASH, H_WORDS = 24 };
#define KIND_1 (48u << 16 | 1)
#define KIND_2 (H_WORDS * 4u << 16 | 2)

/* Bits of the state word. Each is true once it is 0. */
#define TRIES 0xFu
#define KEPT (1u << 4)
#define TOLD (1u << 5)
#define FELL_SHIFT 8
#define FELL (((1u << SLOT_REASONS) - 1) << FELL_SHIFT)

const char *const slot_reasons[SLOT_REASONS] = { "trap", "hang", "crash", "heap", "link", "refused", "load" };

static uint8_t running = 2; /* a slot's number; 2: none */

static uint32_t address_of(unsigned slot) {
  return AREA + slot * SLOT;
}

static const uint32_t *header_of(unsigned slot) {
  return port_flash_map(address_of(slot));
}

static unsigned other(void) {
  return !running;
}

static bool is_first_kind(unsigned slot) {
  return header_of(slot)[H_KIND] == KIND_1;
}

static uint32_t sequence_of(unsigned slot) {
  return is_first_kind(slot) ? 0 : header_of(slot)[H_SEQUENCE];
}

static uint32_t state_of(unsigned slot) {
  return is_first_kind(slot) ? ~KEPT : header_of(slot)[H_STATE];
}

static bool is_kept(unsigned slot) {
  return !(state_of(slot) & KEPT);
}

static bool is_fallen(unsigned slot) {
  return (state_of(slot) & FELL) != FELL;
}

static uint32_t header_check(const uint32_t *header) {
  return crc32(0, header + H_KIND, (H_STATE - H_KIND) * 4);
}

static struct slot image_of(unsigned slot) {
  const uint32_t *header = header_of(slot);
  bool first = is_first_kind(slot);
  return (struct slot){
    .wasm = (const uint8_t *)header + (header[H_KIND] >> 16),
    .length = header[H_LENGTH],
    .name = (const char *)(header + H_NAME),
    .version = first ? 0 : header[H_VERSION],
  };
}

/* The fault of a slot; 0: it has a complete application. */
static const char *fault_of(unsigned slot) {
  const uint32_t *header = header_of(slot);
  if (header[H_MAGIC] == BLANK) return "missing";
  if (header[H_MAGIC] != MAGIC) return "damaged (magic)";
  bool first = header[H_KIND] == KIND_1 && slot == 0;
  if (!first && header[H_KIND] != KIND_2) return "damaged (version)";
  if (!header[H_LENGTH] || header[H_LENGTH] > SLOT - (header[H_KIND] >> 16)) return "damaged (length)";
  if (!first && header_check(header) != header[H_CHECK]) return "damaged (header)";
  struct slot image = image_of(slot);
  return crc32(0, image.wasm, image.length) == header[H_CRC] ? 0 : "damaged (checksum)";
}

static bool write_word(unsigned slot, unsigned word, uint32_t value) {
  return port_flash_write(address_of(slot) + word * 4, &value, 4) && header_of(slot)[word] == value;
}

/* Clears bits of the state. A header of the first kind has no such word, and counts as kept. */
static bool clear(unsigned slot, uint32_t bits) {
  return !is_first_kind(slot) && write_word(slot, H_STATE, state_of(slot) & ~bits);
}

static void fall(unsigned slot, enum slot_reason reason) {
  clear(slot, 1u << (FELL_SHIFT + reason));
}

/* Whether a slot's application may run. One on trial uses up a try. */
static bool may_run(unsigned slot, enum port_reset reset) {
  if (is_kept(slot)) return true;
  if (is_fallen(slot)) return false;
  uint32_t tries = state_of(slot) & TRIES;
  if (tries != TRIES) { /* it has run before: a crash or a hang is its fault; a power failure or a reset by hand is not */
    if (reset == RESET_WATCHDOG || reset == RESET_EXCEPTION || !tries) {
      fall(slot, reset == RESET_WATCHDOG ? SLOT_HANG : SLOT_CRASH);
      return false;
    }
  }
  return clear(slot, tries & -tries); /* otherwise it would be tried for ever */
}

const char *slots_choose(enum port_reset reset) {
  const char *faults[2] = { fault_of(0), fault_of(1) };
  running = 2;
  if (faults[0] && faults[1]) return faults[0];
  unsigned newest = faults[0] || (!faults[1] && sequence_of(1) > sequence_of(0));
  if (may_run(newest, reset)) running = newest;
  else if (!faults[!newest] && may_run(!newest, reset)) running = !newest;
  else running = newest; /* there is no other */
  return 0;
}

struct slot slots_running(void) {
  return image_of(running);
}

bool slots_any(void) {
  return running < 2;
}

bool slots_on_trial(void) {
  return slots_any() && !is_kept(running) && !is_fallen(running);
}

bool slots_keep(void) {
  return clear(running, KEPT);
}

void slots_fall(enum slot_reason reason) {
  fall(running, reason);
}

bool slots_fallen(const uint8_t **hash, enum slot_reason *reason) {
  if (!slots_any() || header_of(other())[H_MAGIC] != MAGIC || is_first_kind(other())) return false;
  uint32_t state = state_of(other());
  if (!is_fallen(other()) || !(state & TOLD) || sequence_of(other()) <= sequence_of(running)) return false;
  *hash = (const uint8_t *)(header_of(other()) + H_HASH);
  *reason = SLOT_TRAP;
  while (state >> (FELL_SHIFT + *reason) & 1) ++*reason;
  return true;
}

void slots_told(void) {
  clear(other(), TOLD);
}

bool slots_fell(const uint8_t hash[SLOT_HASH]) {
  const uint32_t *header = header_of(other());
  return header[H_MAGIC] == MAGIC && is_fallen(other()) && !bytes_compare(header + H_HASH, hash, SLOT_HASH);
}

/* The header during a transfer; the words that are blank here are written when all bytes have arrived. */
static void compose(const struct slot_offer *offer, uint32_t header[H_WORDS]) {
  bytes_fill(header, 0xFF, H_WORDS * 4);
  header[H_KIND] = KIND_2;
  header[H_LENGTH] = offer->length;
  bytes_fill(header + H_NAME, 0, SLOT_NAME);
  bytes_copy(header + H_NAME, offer->name, offer->name_length);
  header[H_VERSION] = offer->version;
  header[H_SEQUENCE] = sequence_of(running) + 1;
  bytes_copy(header + H_HASH, offer->hash, SLOT_HASH);
}

/* Whether the other slot was prepared for this offer. It may have checksums already: those of the same bytes. */
static bool is_open(const uint32_t wanted[H_WORDS]) {
  const uint32_t *header = header_of(other());
  if (header[H_MAGIC] == MAGIC || (header[H_MAGIC] & MAGIC) != MAGIC) return false;
  for (unsigned i = H_KIND; i < H_WORDS; i++) {
    if (i != H_CRC && i != H_CHECK && header[i] != wanted[i]) return false;
  }
  return true;
}

/* How many bytes are certainly complete: all but those of the page that was written last. */
static uint32_t find_end(uint32_t length) {
  const uint32_t *words = header_of(other());
  uint32_t at = H_WORDS + (length + 3) / 4;
  while (at > H_WORDS && words[at - 1] == BLANK) at--;
  if (at == H_WORDS) return 0;
  uint32_t page = (at - 1) * 4 & ~(PAGE - 1);
  return page > H_WORDS * 4 ? page - H_WORDS * 4 : 0;
}

bool slots_open(const struct slot_offer *offer, uint32_t *stands) {
  uint32_t header[H_WORDS];
  compose(offer, header);
  *stands = 0;
  if (is_open(header)) {
    *stands = find_end(offer->length);
    return true;
  }
  slots_drop(); /* first, as erasing is not atomic */
  for (uint32_t at = 0; at < H_WORDS * 4 + offer->length; at += SECTOR) {
    if (!port_flash_erase(address_of(other()) + at)) return false;
  }
  return port_flash_write(address_of(other()) + H_KIND * 4, header + H_KIND, (H_WORDS - H_KIND) * 4);
}

bool slots_write(uint32_t at, const uint32_t *words, size_t length) {
  return port_flash_write(address_of(other()) + H_WORDS * 4 + at, words, length);
}

struct slot slots_incoming(void) {
  return image_of(other());
}

const uint8_t *slots_incoming_hash(void) {
  return (const uint8_t *)(header_of(other()) + H_HASH);
}

bool slots_commit(void) {
  struct slot image = image_of(other());
  return write_word(other(), H_CRC, crc32(0, image.wasm, image.length)) &&
    write_word(other(), H_CHECK, header_check(header_of(other()))) && write_word(other(), H_MAGIC, MAGIC);
}

void slots_drop(void) {
  if (header_of(other())[H_MAGIC]) write_word(other(), H_MAGIC, 0);
}
