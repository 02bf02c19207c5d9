/*
 * New applications over the link, with the firmware's own messages, which start with %x02 (client-as/FIRMWARE.md). An
 * application is written into the slot that does not run, checked, started on trial, and kept once the link was up with
 * it for a while. If the trial fails, the old application runs again, and the server is told.
 *
 * Only a few words of this are in RAM: where the next piece goes, and an answer that waits for room. While an answer
 * waits, no further message for the firmware is taken, so there is at most one.
 */
#ifndef HOLDFAST_DEPLOY_H
#define HOLDFAST_DEPLOY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"
#include "slots.h"

/* How long the link must be up with an application on trial, in ms. */
#define DEPLOY_PROVEN 30000u
/* And how soon after its start, in ms: a server or an access point may restart meanwhile, which takes minutes. */
#define DEPLOY_TRIAL 300000u
/* Silence after which a transfer counts as interrupted, in ms. */
#define DEPLOY_PATIENCE 10000u
/* How long messages without an ack may delay a restart, in ms. */
#define DEPLOY_DRAIN 5000u

/* Bytes of "NAME/VERSION/HASH8" and a zero, the full name of the application that runs. */
#define DEPLOY_NAME (SLOT_NAME + 1 + 10 + 1 + 8 + 1)

/* At the start of the chip. `settings` must stay valid. */
void deploy_start(const struct settings *settings, uint32_t now);

/* Writes the full name, and returns its length; 0: no application from flash runs. */
size_t deploy_name(char name[DEPLOY_NAME]);

/* Whether a new application has fallen back, which the hello reports. */
bool deploy_fell_back(void);

/* The core has booted: its outbox is empty. */
void deploy_booted(void);

/* Whether a message is for the firmware. */
bool deploy_is(const uint8_t *text, size_t length);
/* Takes such a message. False: not now. */
bool deploy_take(const uint8_t *text, size_t length, uint32_t now);

/* Sends the waiting answer, if there is room for it now. */
void deploy_answer(void);

/* Advances a trial, or the restart into one. Lowers *wait to the ms until the next call. */
void deploy_run(bool up, uint32_t now, uint32_t *wait);

/* Whether the chip must not sleep: during a trial, or during a transfer that was not interrupted. */
bool deploy_busy(uint32_t now);

/* The application on trial has failed. Does not return if the chip must restart at once. */
void deploy_fail(enum slot_reason reason);

#endif
