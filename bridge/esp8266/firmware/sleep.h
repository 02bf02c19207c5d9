/*
 * Decides when the chip goes into deep sleep. After the application has asked for it, the chip first drains the link:
 * every message is acknowledged, and the server knows the length of the sleep. This takes at most SLEEP_DRAIN, and ends
 * when there is certainly no WiFi. Messages that are left are saved (slept.h). If they do not fit there, the chip stays
 * awake until they do: nothing is dropped.
 */
#ifndef HOLDFAST_SLEEP_H
#define HOLDFAST_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

/* Most time to drain the link, in ms. A chip that must search for its WiFi joins it in 2 to 5 s. */
#define SLEEP_DRAIN 10000

/* At the start of the chip. */
void sleep_begin(void);

/* A full search has not found the WiFi. */
void sleep_hopeless(void);

/* The application wants to sleep for this many ms; 0: not any more. False: it will not sleep, as the messages without
 * an ack do not fit the memory. */
bool sleep_ask(int32_t ms);

/* Sleeps if it is time. `linked`: the link is up, and must be drained. Lowers *wait. */
void sleep_run(uint32_t now, bool linked, uint32_t *wait);

#endif
