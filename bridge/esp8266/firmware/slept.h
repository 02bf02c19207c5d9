/*
 * What a chip goes on with after deep sleep, and what it has lost otherwise: what the application has sent and the server
 * has not acknowledged, the name and numbers of that stream, the device's milliseconds, and how its WiFi was joined. All
 * of it is in RTC memory meanwhile: words of its own, and texts in what the application has not used of its part. (How
 * far the server's stream has been taken is there in any case: kept.h.)
 */
#ifndef HOLDFAST_SLEPT_H
#define HOLDFAST_SLEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "port.h"

/* At the start: takes what was saved, and tells application.h of it. Sleeps on if that was only a part of a longer
 * sleep. */
void slept_begin(void);

/* How the WiFi was joined before the sleep; 0: not known. Without an address if that may be another's by now. */
const struct port_lease *slept_lease(uint32_t now);

/* WiFi is up: notes how. */
void slept_joined(uint32_t now);

/* The stream to go on with, if there is one under this owner (kept.h); its epoch is 0 otherwise. */
struct core_position slept_stream(uint32_t owner);

/* Gives the core, which was booted with that stream, what was saved of it. */
void slept_replay(void);

/* Whether that is still to be done: then nothing else can be saved. */
bool slept_waits(void);

/* Takes what the core has still to send. How many bytes; -1: they do not fit. */
int32_t slept_gather(void);

/* Sleeps for this many ms, with what was gathered. `has_stream`: the stream goes on. */
void slept_go(uint32_t ms, uint32_t owner, bool has_stream, int32_t bytes) __attribute__((noreturn));

#endif
