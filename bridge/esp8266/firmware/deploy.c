#include "deploy.h"

#include "application.h"
#include "bytes.h"
#include "console.h"
#include "core.h"
#include "engine.h"
#include "hmac.h"
#include "module.h"
#include "port.h"
#include "text.h"
#include "words.h"

#define MARK 2 /* the first byte of a message for the firmware */

#define HASH_DIGITS 43
#define HASH8 8
#define MAC_BYTES 16
#define OFFER_OLDER 1u  /* even if it is older than the one that runs */
#define OFFER_FAILED 2u /* even if the same bytes have fallen back before */
#define OFFER_NEEDS 4u  /* its imports were announced just before */

/* Bytes of a piece that are written to flash at once. */
#define CHUNK 96

enum refusal { OLDER, FAILED, SIZE, MAC, HASH, MODULE, IMPORT, FLASH, GAP, OFFER, BUSY };
static const char *const refusals[] = {
  "older", "failed", "size", "mac", "hash", "module", "import", "flash", "gap", "offer", "busy",
};

static const struct settings *settings;

/* Whole words, as they are in memory that can only be written in words. */
struct deploy_state {
  uint32_t receiving; /* an offer was accepted since the start */
  uint32_t size;      /* of the arriving module */
  uint32_t expected;  /* offset of its next piece */
  uint32_t taken_at;  /* time of the last message */
  uint32_t unoffered; /* a piece without an offer was refused: once is enough */
  uint32_t needs;     /* imports of the next offer: a bit for each of `application_imports` */

  uint32_t answer; /* kind of the waiting answer, a letter; 0: none waits */
  uint32_t number; /* its offset, refusal or reason, beside the hash */
  uint32_t hash[HASH8 / 4];

  uint32_t leaving; /* the chip will restart */
  uint32_t since;   /* since when; or when the trial began */
  uint32_t up;      /* the link is up */
  uint32_t up_since;
  uint32_t telling; /* the report of a fall back is on its way to the server */
  uint32_t told_at; /* the number after that of the report */
};
static struct deploy_state state IN_WORDS;

static bool is_name(uint8_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* ---- The application that runs, and answers ---- */

static void hash_of(const struct slot *image, uint8_t hash[SLOT_HASH]) {
  struct sha256 sha;
  holdfast_sha256_start(&sha);
  holdfast_sha256_add(&sha, image->wasm, image->length);
  holdfast_sha256_end(&sha, hash);
}

static void hash_of_running(uint8_t hash[SLOT_HASH]) {
  struct slot image = slots_running();
  hash_of(&image, hash);
}

size_t deploy_name(char name[DEPLOY_NAME]) {
  if (!slots_any()) return 0;
  struct slot image = slots_running();
  uint8_t hash[SLOT_HASH];
  size_t at = 0;
  for (; at < SLOT_NAME && image.name[at]; at++) name[at] = is_name(image.name[at]) ? image.name[at] : '_';
  if (!at) name[at++] = '_';
  name[at++] = '/';
  at = text_put_number(name, at, image.version);
  name[at++] = '/';
  hash_of(&image, hash);
  text_encode(hash, name + at, HASH8);
  name[at += HASH8] = 0;
  return at;
}

/* `hash`: of the application that the answer is about; 0: unknown. */
static void answer(char kind, const uint8_t *hash, uint32_t number) {
  char text[HASH8] = "--------";
  if (hash) text_encode(hash, text, HASH8);
  words_copy(state.hash, 0, text, HASH8);
  state.number = number;
  state.answer = kind;
}

static void refuse(enum refusal why, const uint8_t *hash) {
  console_begin("deploy refused reason=");
  console_text(refusals[why]);
  console_end();
  answer('n', hash, why);
}

static enum module_fault check_module(struct module_name lacks[2]) {
  struct slot image = slots_incoming();
  /* Application and core are one module. */
  return module_check(image.wasm, image.length, engine_names, ON_START, application_imports, lacks);
}

/* The number of an announced import that the firmware lacks; 0: it has all. */
static uint32_t number_lacking(void) {
  uint32_t number = 0, needs = state.needs;
  for (; application_imports[number].module; number++) needs >>= 1;
  if (!needs) return 0;
  for (; !(needs & 1); number++) needs >>= 1;
  return number;
}

/* Appends the missing import. Searches for it again, as there is no place to keep it while the answer waits. */
static size_t put_lacking(char *to, size_t at) {
  struct module_name lacks[2];
  uint32_t number = number_lacking();
  if (number) {
    to[at++] = ' ';
    return text_put_number(to, at, number);
  }
  if (check_module(lacks) != MODULE_LACKS) return at;
  for (unsigned i = 0; i < 2; i++) {
    to[at++] = i ? '.' : ' ';
    for (unsigned j = 0; j < lacks[i].length && j < 31; j++) {
      uint8_t c = lacks[i].text[j];
      to[at++] = c > ' ' && c < 127 ? c : '?';
    }
  }
  return at;
}

void deploy_answer(void) {
  if (!state.answer) return;
  char text[2 + 1 + HASH8 + 1 + 10 + 2 * 32];
  size_t at = 0;
  text[at++] = MARK;
  text[at++] = state.answer;
  text[at++] = ' ';
  bytes_copy(text + at, state.hash, HASH8);
  at += HASH8;
  if (state.answer == 'o' || state.answer == 'n' || state.answer == 'r') text[at++] = ' ';
  if (state.answer == 'o') at = text_put_number(text, at, state.number);
  if (state.answer == 'n') at = text_put(text, at, refusals[state.number]);
  if (state.answer == 'n' && state.number == IMPORT) at = put_lacking(text, at);
  if (state.answer == 'r') at = text_put(text, at, slot_reasons[state.number]);
  if (!core_write((const uint8_t *)text, at, true)) return;
  if (state.answer == 'r') state.told_at = core_get(R_TX_NEXT);
  state.answer = 0;
}

/* ---- The server's messages ---- */

/* Whether the last field proves that the text before it comes from somebody who has the key. */
static bool is_proven(const uint8_t *text, const struct text_field *mac) {
  uint8_t wanted[32], given[MAC_BYTES];
  if (!settings->has_key) return true;
  if (!mac->at || mac->length != 22 || text_bytes(mac) != MAC_BYTES) return false;
  text_decode(mac, 0, given, MAC_BYTES);
  holdfast_hmac_sha256(settings->key, sizeof settings->key, text, mac->at - 1 - text, wanted);
  uint8_t differs = 0;
  for (unsigned i = 0; i < MAC_BYTES; i++) differs |= given[i] ^ wanted[i];
  return !differs;
}

static void begin(const struct slot_offer *offer) {
  uint32_t stands;
  if (!slots_open(offer, &stands)) {
    refuse(FLASH, offer->hash);
    return;
  }
  console_begin("deploy name=");
  console_value((const char *)offer->name, offer->name_length);
  console_text(" bytes=");
  console_number(offer->length);
  console_text(" from=");
  console_number(stands);
  console_end();
  state.receiving = true;
  state.unoffered = false;
  state.size = offer->length;
  state.expected = stands;
  answer('o', offer->hash, stands);
}

static void decide(const struct slot_offer *offer, uint32_t flags) {
  uint8_t running[SLOT_HASH];
  hash_of_running(running);
  if (slots_on_trial() || state.leaving) refuse(BUSY, offer->hash);
  else if (!bytes_compare(running, offer->hash, SLOT_HASH)) answer('k', offer->hash, 0);
  else if (offer->version < slots_running().version && !(flags & OFFER_OLDER)) refuse(OLDER, offer->hash);
  else if (slots_fell(offer->hash) && !(flags & OFFER_FAILED)) refuse(FAILED, offer->hash);
  else if (!offer->length || offer->length > SLOT_MOST) refuse(SIZE, offer->hash);
  else if (number_lacking()) refuse(IMPORT, offer->hash);
  else begin(offer);
}

static bool take_needs(struct text_field rest) {
  uint32_t needs;
  if (!text_number(&rest, &needs) || rest.length) return false;
  state.needs = needs;
  return true;
}

static bool take_offer(const uint8_t *text, struct text_field rest) {
  struct slot_offer offer;
  struct text_field hash, flags, name, mac = { 0, 0 };
  if (!text_field(&rest, &hash) || hash.length != HASH_DIGITS || text_bytes(&hash) != SLOT_HASH) return false;
  if (!text_number(&rest, &offer.length) || !text_number(&rest, &offer.version)) return false;
  if (!text_field(&rest, &flags) || flags.length != 1) return false;
  int flag = flags.at[0] - '0';
  if (flag > 9) flag = flags.at[0] - 'a' + 10;
  if (flag < 0 || flag > 15 || (flag > 9 && flags.at[0] < 'a')) return false;
  if (!text_field(&rest, &name) || name.length > SLOT_NAME) return false;
  for (size_t i = 0; i < name.length; i++) {
    if (!is_name(name.at[i])) return false;
  }
  if (rest.length && (!text_field(&rest, &mac) || rest.length)) return false;
  text_decode(&hash, 0, offer.hash, SLOT_HASH);
  offer.name = name.at;
  offer.name_length = name.length;
  if (!(flag & OFFER_NEEDS)) state.needs = 0; /* those were another offer's */
  if (is_proven(text, &mac)) decide(&offer, flag);
  else refuse(MAC, offer.hash);
  return true;
}

static bool write_piece(const struct text_field *data, uint32_t length) {
  uint32_t words[CHUNK / 4];
  for (uint32_t at = 0; at < length; at += CHUNK) {
    uint32_t count = length - at < CHUNK ? length - at : CHUNK;
    bytes_fill(words, 0xFF, sizeof words);
    text_decode(data, at, (uint8_t *)words, count);
    if (!slots_write(state.expected + at, words, (count + 3) & ~3u)) return false;
  }
  return true;
}

static bool take_piece(struct text_field rest) {
  uint32_t at;
  struct text_field data;
  if (!text_number(&rest, &at) || !text_field(&rest, &data) || rest.length) return false;
  uint32_t length = text_bytes(&data);
  if (!length || at % 4) return false;
  if (!state.receiving) {
    if (!state.unoffered && !state.leaving && !slots_on_trial()) refuse(OFFER, 0);
    state.unoffered = true;
    return true;
  }
  const uint8_t *hash = slots_incoming_hash();
  if (at < state.expected) return true; /* already received */
  if (length > SLOT_MOST || at > state.size || length > state.size - at) return false;
  if (length % 4 && at + length != state.size) return false;
  if (at > state.expected) {
    state.receiving = false;
    refuse(GAP, hash);
  } else if (!write_piece(&data, length)) {
    state.receiving = false;
    refuse(FLASH, hash);
  } else state.expected += length;
  return true;
}

/* Checks the received bytes. */
static bool is_good(const uint8_t *hash) {
  uint8_t found[SLOT_HASH];
  struct slot image = slots_incoming();
  struct module_name lacks[2];
  hash_of(&image, found);
  if (bytes_compare(found, hash, SLOT_HASH)) {
    slots_drop(); /* the transfer must not be resumed */
    refuse(HASH, hash);
    return false;
  }
  enum module_fault fault = check_module(lacks);
  if (fault) refuse(fault == MODULE_LACKS ? IMPORT : MODULE, hash);
  return !fault;
}

static bool is_about(const struct text_field *field, const uint8_t *hash) {
  char text[HASH8];
  text_encode(hash, text, HASH8);
  return !bytes_compare(text, field->at, HASH8);
}

static bool take_go(struct text_field rest, uint32_t now) {
  struct text_field field;
  if (!text_field(&rest, &field) || rest.length || field.length != HASH8 || !text_bytes(&field)) return false;
  const uint8_t *hash = slots_incoming_hash();
  if (state.leaving || slots_on_trial()) return true; /* sent again after the restart */
  if (!state.receiving || !is_about(&field, hash)) {
    if (!state.unoffered) refuse(OFFER, 0);
    state.unoffered = true;
    return true;
  }
  state.receiving = false;
  if (state.expected != state.size) refuse(GAP, hash);
  else if (is_good(hash)) {
    if (slots_commit()) {
      console_line("deploy complete: restarting");
      answer('g', hash, 0);
      state.leaving = true;
      state.since = now;
    } else {
      slots_drop();
      refuse(FLASH, hash);
    }
  }
  return true;
}

/* Reports to the server that an application has fallen back, and why, before any other answer. */
static bool tell_fall(void) {
  const uint8_t *hash;
  enum slot_reason reason;
  if (state.telling || state.answer || !slots_any() || !slots_fallen(&hash, &reason)) return false;
  answer('r', hash, reason);
  state.telling = true;
  return true;
}

bool deploy_is(const uint8_t *text, size_t length) {
  return settings->dialect == 2 && length && text[0] == MARK;
}

bool deploy_take(const uint8_t *text, size_t length, uint32_t now) {
  tell_fall();
  if (state.answer) return false;
  state.taken_at = now;
  bool known = false;
  if (slots_any() && length >= 2) {
    struct text_field rest = { text + 3, length > 3 ? length - 3 : 0 };
    bool apart = length > 2 && text[2] == ' ';
    if (text[1] == 'o') known = apart && take_offer(text, rest);
    else if (text[1] == 'i') known = apart && take_needs(rest);
    else if (text[1] == 'p') known = apart && take_piece(rest);
    else if (text[1] == 'g') known = apart && take_go(rest, now);
    else if (text[1] == 'x' && length == 2) {
      state.receiving = false;
      known = true;
    }
  }
  if (!known) console_line("deploy malformed");
  return true;
}

/* ---- Trial and restart ---- */

void deploy_start(const struct settings *chosen, uint32_t now) {
  settings = chosen;
  bytes_fill(&state, 0, sizeof state);
  state.since = now;
}

bool deploy_busy(uint32_t now) {
  if (!slots_any()) return false;
  bool transfers = state.receiving && now - state.taken_at < DEPLOY_PATIENCE;
  return state.answer || state.leaving || transfers || slots_on_trial();
}

bool deploy_fell_back(void) {
  const uint8_t *hash;
  enum slot_reason reason;
  return slots_fallen(&hash, &reason);
}

void deploy_booted(void) {
  state.telling = false;
}

void deploy_fail(enum slot_reason reason) {
  if (!slots_on_trial()) return;
  slots_fall(reason);
  console_begin("application fell back reason=");
  console_text(slot_reasons[reason]);
  console_end();
  if (reason != SLOT_TRAP) port_restart(); /* after a trap there is a pause first */
}

static void lower(uint32_t *wait, uint32_t since, uint32_t now, uint32_t time) {
  uint32_t passed = now - since, left = passed < time ? time - passed : 0;
  if (left < *wait) *wait = left;
}

static void run_trial(uint32_t now, uint32_t *wait) {
  if (state.up && now - state.up_since >= DEPLOY_PROVEN && !state.answer) {
    if (engine_has(ON_TRIAL) && !engine_call(ON_TRIAL, 0, 0)) {
      if (!engine_trap()) deploy_fail(SLOT_REFUSED);
      return;
    }
    uint8_t hash[SLOT_HASH];
    hash_of_running(hash);
    slots_keep();
    console_line("application kept");
    answer('k', hash, 0);
    *wait = 0;
    return;
  }
  if (now - state.since >= DEPLOY_TRIAL) deploy_fail(SLOT_LINK);
  lower(wait, state.since, now, DEPLOY_TRIAL);
  if (state.up) lower(wait, state.up_since, now, DEPLOY_PROVEN);
}

void deploy_run(bool up, uint32_t now, uint32_t *wait) {
  if (!slots_any()) return;
  if (up && !state.up) state.up_since = now;
  state.up = up;
  if (state.leaving) {
    bool drained = up && !state.answer && core_get(R_TX_FIRST) == core_get(R_TX_NEXT);
    if (drained || now - state.since >= DEPLOY_DRAIN) port_restart();
    lower(wait, state.since, now, DEPLOY_DRAIN);
  } else if (slots_on_trial()) run_trial(now, wait);
  else if (state.telling && !state.answer && (int32_t)(core_get(R_TX_FIRST) - state.told_at) >= 0) {
    slots_told(); /* the server has acknowledged it: the next start does not report it again */
    state.telling = false;
  } else if (up && tell_fall()) *wait = 0;
}
