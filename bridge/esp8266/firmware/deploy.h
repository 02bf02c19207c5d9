/*
 * New applications over the link: the firmware's own messages, which start with %x02 (client-as/FIRMWARE.md). What
 * arrives goes into the slot that does not run; checked, it is started on trial, and kept once there has been a link
 * with it for a while. An application whose trial fails is followed by the one before it, and the server is told.
 *
 * Of all this only a few words are in RAM: where the next piece goes, and an answer that waits for room. While one
 * does, no further message of the firmware's is taken, so there is never a second one.
 */
#ifndef HOLDFAST_DEPLOY_H
#define HOLDFAST_DEPLOY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"
#include "slots.h"

/* For how long a link must have been up with an application on trial, in ms. */
#define DEPLOY_PROVEN 30000u
/* And by when, after its start: a server or an access point that restarts takes minutes, and is not its fault. */
#define DEPLOY_TRIAL 300000u
/* Silence after which a transfer stands. */
#define DEPLOY_PATIENCE 10000u
/* How long messages without an ack may hold up a restart. */
#define DEPLOY_DRAIN 5000u

/* Bytes of "NAME/VERSION/HASH8" and a zero, which name the application that runs. */
#define DEPLOY_NAME (SLOT_NAME + 1 + 10 + 1 + 8 + 1)

/* Starts again, as the chip has. `settings` must stay. */
void deploy_start(const struct settings *settings, uint32_t now);

/* Writes it, and returns its length; 0: there is none in flash. */
size_t deploy_name(char name[DEPLOY_NAME]);

/* Whether what was to run has fallen back, as the hello says. */
bool deploy_fell_back(void);

/* The core has booted: what was written to it is gone. */
void deploy_booted(void);

/* A message has come that may be the firmware's: whether it is. */
bool deploy_is(const uint8_t *text, size_t length);
/* Takes it. False: not now. */
bool deploy_take(const uint8_t *text, size_t length, uint32_t now);

/* Writes the answer that waits, if there is room for it now. */
void deploy_answer(void);

/* Sees to the trial, and to the restart into one. Lowers *wait to the ms until it wants to be called again. */
void deploy_run(bool up, uint32_t now, uint32_t *wait);

/* Whether the chip is not to sleep: a trial is on, or a transfer in which something came not long ago. */
bool deploy_busy(uint32_t now);

/* The application on trial has failed. Does not return if it must be replaced at once. */
void deploy_fail(enum slot_reason reason);

#endif
