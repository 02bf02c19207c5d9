/*
 * The two slots in flash for applications, and which of them runs. One is written while the other one runs, so there is
 * always one that starts, whenever power is lost. bridge/formats/application.ts describes the layout.
 *
 * A slot counts as an application once the first word of its header is written, which comes last. It is then tried,
 * only a few times if the power fails meanwhile, until it is kept or falls back. Each of these steps clears one bit of
 * a word, so it is atomic. None of this state is in RAM.
 */
#ifndef HOLDFAST_SLOTS_H
#define HOLDFAST_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port.h"

#define SLOT_NAME 32
#define SLOT_HASH 32
/* Most bytes of a .wasm that comes over the link. */
#define SLOT_MOST (0x5000u - 96)

/* Why an application was not kept, in the order of the state word's bits. */
enum slot_reason { SLOT_TRAP, SLOT_HANG, SLOT_CRASH, SLOT_HEAP, SLOT_LINK, SLOT_REFUSED, SLOT_LOAD, SLOT_REASONS };

/* Words for the reasons: "trap". */
extern const char *const slot_reasons[SLOT_REASONS];

/* ---- The application that runs ---- */

/* Chooses the application to run, by the contents of flash and the reason for the start; one on trial uses up a
 * try. Returns 0, or "missing" if there is none. */
const char *slots_choose(enum port_reset reset);

/* The chosen application. Its name has SLOT_NAME bytes, or fewer and a zero. */
struct slot {
  const uint8_t *wasm;
  uint32_t length;
  const char *name;
  uint32_t version;
};
struct slot slots_running(void);

/* Whether an application from flash was chosen: not if it is part of the firmware, nor before `slots_choose`. */
bool slots_any(void);

/* Whether the application that runs is on trial; it has passed; it has failed, so the old one runs from the next start
 * on. */
bool slots_on_trial(void);
bool slots_keep(void);
void slots_fall(enum slot_reason reason);

/* Whether an application has fallen back and the server does not know yet; its hash, and the reason. */
bool slots_fallen(const uint8_t **hash, enum slot_reason *reason);
/* The server has acknowledged the report of that. */
void slots_told(void);

/* ---- The application that arrives, in the other slot ---- */

struct slot_offer {
  uint32_t length, version;
  const uint8_t *name; /* 1 to SLOT_NAME bytes */
  size_t name_length;
  uint8_t hash[SLOT_HASH];
};

/* Whether the same bytes are in the other slot, and have fallen back. */
bool slots_fell(const uint8_t hash[SLOT_HASH]);

/* Prepares the other slot for it. *stands: how many of its bytes are there from an earlier transfer, and need not be
 * sent again. Erases at most 20 KB, and only if the slot does not belong to the same offer. False: the flash failed. */
bool slots_open(const struct slot_offer *offer, uint32_t *stands);

/* Writes bytes. Offset and length are multiples of 4. */
bool slots_write(uint32_t at, const uint32_t *words, size_t length);

/* The arriving .wasm, which is complete only if its sender says so. */
struct slot slots_incoming(void);
const uint8_t *slots_incoming_hash(void);

/* Completes it: it runs from the next start on. False: the flash failed. */
bool slots_commit(void);

/* Gives up the arriving .wasm, which is wrong: none of its bytes is used again. */
void slots_drop(void);

#endif
