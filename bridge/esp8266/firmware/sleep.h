/*
 * Deep sleep: all that the chip loses in it, and has to go on with, is in RTC memory meanwhile. What the application
 * has sent and the server has not acknowledged, the name and numbers of that stream, the device's milliseconds, and how
 * its WiFi was joined. (How far the server's stream has been taken is there in any case: kept.h.)
 *
 * An application that asks for it goes on until the link is drained: all acknowledged, and the server told for how long.
 * That takes as long as it takes, but SLEEP_DRAIN at most, and no longer than it is known that there is no WiFi. What is
 * left then is saved, in that part of the application's words that it has not used. What does not fit keeps the chip
 * awake until it does: nothing is dropped.
 */
#ifndef HOLDFAST_SLEEP_H
#define HOLDFAST_SLEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "port.h"

/* How long the link has to be drained, in ms. A chip joins a WiFi that it has to look for in 2 to 5 s. */
#define SLEEP_DRAIN 10000

/* At the start: takes what was saved. Sleeps on if that was only a part of a longer sleep. */
void sleep_begin(void);

/* Whether this start is the end of a sleep, and nothing of it was lost. */
bool sleep_woke(void);

/* The device's milliseconds, at this time of the board's clock: they go on over sleeps. */
uint32_t sleep_ms(uint32_t now);

/* How the WiFi was joined before the sleep; 0: not known. Without an address if that may be another's by now. */
const struct port_lease *sleep_lease(uint32_t now);

/* WiFi is up: notes how. */
void sleep_joined(uint32_t now);

/* WiFi was looked for as well as can be, and is not there. */
void sleep_hopeless(void);

/* The stream to go on with, if there is one under this owner (kept.h); its epoch is 0 otherwise. */
struct core_position sleep_stream(uint32_t owner);

/* Gives the core, which was booted with that stream, what was saved of it. */
void sleep_replay(void);

/* The application wants to sleep for so many ms; 0: it does not want to any more. False: it will not sleep, as what
 * waits to be acknowledged does not fit into what is kept. */
bool sleep_ask(int32_t ms);

/* Sleeps if it is time to. `linked`: there is a link to be drained. Lowers *wait. */
void sleep_run(uint32_t now, bool linked, uint32_t *wait);

#endif
