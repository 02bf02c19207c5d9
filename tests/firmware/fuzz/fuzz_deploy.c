/*
 * libFuzzer: any messages for the firmware in any order, while the flash fails, the power fails, the chip is reset for
 * any reason, and applications on trial pass or fail. Ends the program if anything but a complete, intended application
 * runs, if the running one is overwritten, or if an answer is malformed.
 */
#include "input.h"

#include "../units/deploy_rig.h"

static struct image *const images[] = { &first, &second, &third };
/* An application that imports what the firmware lacks; and one that is not a module. */
static struct image foreign, empty;

static void make_others(void) {
  static const uint8_t import[] = { 2, 13, 1, 5, 'b', 'o', 'a', 'r', 'd', 3, 'f', 'l', 'y', 0, 0 };
  make_image(&foreign, 800, 9);
  memcpy(foreign.bytes + foreign.length, import, sizeof import);
  /* At the end: the place of imports does not matter for those who look for them. */
  foreign.length += sizeof import;
  make_image(&empty, 800, 9);
  empty.bytes[0] = 1;
  struct image *both[] = { &foreign, &empty };
  for (int i = 0; i < 2; i++) {
    struct slot slot = { .wasm = both[i]->bytes, .length = both[i]->length };
    uint8_t hash[33] = { 0 };
    hash_of(&slot, hash);
    text_encode(hash, both[i]->hash, HASH_DIGITS);
  }
}

static struct image *any_image(void) {
  unsigned kind = next() % 8;
  return kind == 7 ? &empty : kind == 6 ? &foreign : images[kind % 3];
}

static void check_answers(void) {
  for (unsigned i = 0; i < said_count; i++) {
    must(strlen(said[i]) >= 11 && said[i][0] == 2 && strchr("okgnr", said[i][1]), "an answer of a known kind");
    for (const char *at = said[i] + 1; *at; at++) must(*at >= ' ' && *at < 127, "readable");
  }
  said_count = 0;
}

static void give(const uint8_t *bytes, size_t length) {
  static uint8_t *exact; /* the sanitizer knows its end; the power may fail before it is freed */
  free(exact);
  exact = malloc(length ? length : 1);
  memcpy(exact, bytes, length);
  if (deploy_is(exact, length)) must(deploy_take(exact, length, now) || state.answer, "it waits only for an answer");
  outbox_left = next() % 3;
  deploy_answer();
  check_answers();
}

static void give_any(void) {
  uint8_t bytes[200] = { 2 };
  static const char kinds[] = "opgx";
  size_t length = 3 + next() % 190;
  bytes[1] = next() % 8 ? kinds[next() % 4] : next();
  bytes[2] = next() % 8 ? ' ' : next();
  for (size_t i = 3; i < length; i++) {
    unsigned byte = next();
    bytes[i] = byte < 0xc0 ? "0123456789 abcXYZ-_"[byte % 19] : byte;
  }
  give(bytes, length);
}

static void give_offer(void) {
  struct image *image = any_image();
  char text[200];
  unsigned twist = next();
  uint32_t size = twist == 1 ? next() * 100 : image->length, version = twist == 2 ? next() : image->version;
  int length = snprintf(text, sizeof text, "\2o %s %u %u %x name-%u", image->hash, size, version, next() % 16, next() % 2);
  uint8_t digest[33] = { 0 };
  holdfast_hmac_sha256(values.key, 32, (const uint8_t *)text, length, digest);
  if (twist == 3) digest[next() % 16] ^= 1 << next() % 8;
  if (twist != 4) {
    text[length++] = ' ';
    text_encode(digest, text + length, 22);
    length += 22;
  }
  uint8_t before[SLOT];
  memcpy(before, flash + address_of(!running) / 4, SLOT);
  bool busy = state.answer;
  give((uint8_t *)text, length);
  /* Without the key, or with a MAC of something else, nothing is changed. */
  if (twist == 3 || twist == 4) must(busy || !memcmp(before, flash + address_of(!running) / 4, SLOT), "proven");
}

static void give_pieces(void) {
  struct image *image = any_image();
  unsigned count = next() % 64;
  uint32_t at = state.expected;
  if (next() % 16 == 0) at = next() * 4;
  for (; count && at < image->length; count--) {
    uint32_t length = 84 < image->length - at ? 84 : image->length - at;
    uint8_t bytes[90] = { 0 };
    char text[200], data[120];
    memcpy(bytes, image->bytes + at, length);
    if (next() == 0xff) bytes[next() % 84] ^= 1;
    text_encode(bytes, data, (length * 8 + 5) / 6);
    int written_length = snprintf(text, sizeof text, "\2p %u %.*s", at, (int)(length * 8 + 5) / 6, data);
    give((uint8_t *)text, written_length);
    at += length;
  }
}

static void give_go(void) {
  char text[20];
  snprintf(text, sizeof text, "\2g %.8s", any_image()->hash);
  give((uint8_t *)text, 11);
}

static void pass(void) {
  uint32_t wait = 60000;
  now += next() * 500;
  verdict = next() % 4 == 0 ? 0 : next() % 2 ? 1 : -1;
  outbox_left = next() % 3;
  deploy_run(next() % 8 != 7, now, &wait);
  deploy_answer();
  if (next() % 4) acked = written;
  check_answers();
}

static void happen(void) {
  works = next() % 32 != 31;
  switch (next() % 9) {
    case 0: give_any(); break;
    case 1: give_offer(); break;
    case 2:
    case 3: give_pieces(); break;
    case 4: give_go(); break;
    case 5:
    case 6: pass(); break;
    case 7: deploy_fail(next() % SLOT_REASONS); break;
    case 8:
      cut_at = operations + 1 + next();
      break;
  }
}

static volatile enum port_reset reset;
static volatile bool over;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input = data;
  left = size;
  if (!first.length) {
    seed = 1;
    make_image(&first, 900, 3);
    make_image(&second, 1300, 3);
    make_image(&third, 4100, 4);
    make_others();
  }
  seed = 1;
  values.dialect = 2;
  values.has_key = true;
  operations = cut_at = 0;
  now = 0xfffff000;
  works = true;
  running = 2;
  flash_by_cable(&first, next() % 2);
  reset = RESET_POWER_ON;
  over = false;
  if (setjmp(power)) reset = RESET_POWER_ON, cut_at = 0;
  if (setjmp(restarted)) reset = next() % 4 ? RESET_SOFTWARE : next() % 6;
  if (over) return 0;
  works = true;
  boot(reset);
  while (left) happen();
  over = true; /* and once more, unchanged */
  boot(RESET_POWER_ON);
  return 0;
}
