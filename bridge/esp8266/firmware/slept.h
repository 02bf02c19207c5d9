/*
 * The state that a chip keeps in RTC memory during deep sleep: the application's messages that the server has not
 * acknowledged, the epoch and numbers of that stream, the device's milliseconds, and the access point. It has words of
 * its own; texts are in the words that the application does not use of its part. (The position in the server's stream
 * is always kept there: kept.h.)
 */
#ifndef HOLDFAST_SLEPT_H
#define HOLDFAST_SLEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "port.h"

/* At the start of the chip: loads the saved state, and sets the variables of application.h. Sleeps on if this was only
 * a part of a longer sleep. */
void slept_begin(void);

/* Access point and address before the sleep; 0: unknown. Without an address if another device may have it by now. */
const struct port_lease *slept_lease(uint32_t now);

/* WiFi is up: notes access point and address. */
void slept_joined(uint32_t now);

/* The stream to resume, if there is one with this owner (kept.h); else its epoch is 0. */
struct core_position slept_stream(uint32_t owner);

/* Gives the core, which was booted with that stream, its saved messages. */
void slept_replay(void);

/* Whether `slept_replay` must still be called: then nothing else can be saved. */
bool slept_waits(void);

/* Copies the messages of the core's outbox. Returns the bytes; -1: they do not fit. */
int32_t slept_gather(void);

/* Saves the gathered messages, and sleeps for this many ms. `has_stream`: the stream will be resumed. */
void slept_go(uint32_t ms, uint32_t owner, bool has_stream, int32_t bytes) __attribute__((noreturn));

#endif
