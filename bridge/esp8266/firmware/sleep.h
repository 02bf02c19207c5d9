/*
 * When the chip goes into deep sleep. An application that asks for it goes on until the link is drained: all
 * acknowledged, and the server told for how long. That takes as long as it takes, but SLEEP_DRAIN at most, and no longer
 * than it is known that there is no WiFi. What is left then is saved (slept.h). What does not fit there keeps the chip
 * awake until it does: nothing is dropped.
 */
#ifndef HOLDFAST_SLEEP_H
#define HOLDFAST_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

/* How long the link has to be drained, in ms. A chip joins a WiFi that it has to look for in 2 to 5 s. */
#define SLEEP_DRAIN 10000

/* At the start. */
void sleep_begin(void);

/* WiFi was looked for as well as can be, and is not there. */
void sleep_hopeless(void);

/* The application wants to sleep for this many ms; 0: it does not want to any more. False: it will not sleep, as what
 * waits to be acknowledged does not fit into what is kept. */
bool sleep_ask(int32_t ms);

/* Sleeps if it is time to. `linked`: there is a link to be drained. Lowers *wait. */
void sleep_run(uint32_t now, bool linked, uint32_t *wait);

#endif
