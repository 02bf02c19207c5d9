/*
 * The two places in flash that an application can lie in, and which of them runs. One is written while the other one
 * runs, so there is one that starts whenever power is lost. What lies where is told in bridge/formats/application.ts.
 *
 * A slot is an application once the first word of its header is there, which is written last. It is then tried, a few
 * times at most if the power fails meanwhile, until it is kept or falls back. Each of these is a bit of one word that
 * is cleared, so there is no moment between two of them. Nothing of it is kept in RAM.
 */
#ifndef HOLDFAST_SLOTS_H
#define HOLDFAST_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port.h"

#define SLOT_NAME 32
#define SLOT_HASH 32
/* Bytes that a .wasm can have which comes over the link. */
#define SLOT_MOST (0x5000u - 96)

/* Why an application was not kept, in the order of the state word's bits. */
enum slot_reason { SLOT_TRAP, SLOT_HANG, SLOT_CRASH, SLOT_HEAP, SLOT_LINK, SLOT_REFUSED, SLOT_LOAD, SLOT_REASONS };

/* Its words: "trap". */
extern const char *const slot_reasons[SLOT_REASONS];

/* ---- What runs ---- */

/* Decides what runs, from what is in flash and why the chip has started; if that is on trial, one of its tries is
 * used up by this. Returns 0, or why there is nothing: "missing". */
const char *slots_choose(enum port_reset reset);

/* What was chosen. Its name has SLOT_NAME bytes, or fewer and a zero. */
struct slot {
  const uint8_t *wasm;
  uint32_t length;
  const char *name;
  uint32_t version;
};
struct slot slots_running(void);

/* Whether there is one in flash: not where it is part of the firmware, nor before `slots_choose`. */
bool slots_any(void);

/* Whether what runs is on trial; it passes, or has failed: what ran before runs from the next start on. */
bool slots_on_trial(void);
bool slots_keep(void);
void slots_fall(enum slot_reason reason);

/* Whether what was to run has fallen back, and the server does not know it yet; its hash, and why. */
bool slots_fallen(const uint8_t **hash, enum slot_reason *reason);
/* The server knows. */
void slots_told(void);

/* ---- What comes into the other one ---- */

struct slot_offer {
  uint32_t length, version;
  const uint8_t *name; /* 1 to SLOT_NAME bytes */
  size_t name_length;
  uint8_t hash[SLOT_HASH];
};

/* Whether the same bytes are in the other slot, and have fallen back. */
bool slots_fell(const uint8_t hash[SLOT_HASH]);

/* Makes the other slot ready for it. *stands: how many of its bytes are there, from an earlier time; they need not be
 * sent again. Erases 20 KB at most, and only if nothing of the same offer is there. False: the flash does not work. */
bool slots_open(const struct slot_offer *offer, uint32_t *stands);

/* Writes bytes, a multiple of 4, at a multiple of 4. */
bool slots_write(uint32_t at, const uint32_t *words, size_t length);

/* What is there, as a .wasm; it is there to the end if its sender says so. */
struct slot slots_incoming(void);
const uint8_t *slots_incoming_hash(void);

/* It is an application from now on, and is what runs from the next start on. False: the flash does not work. */
bool slots_commit(void);

/* It is not what it should be: nothing of it is used again. */
void slots_drop(void);

#endif
