/* What the host tells the chip: how to wake, and what happens then. */
#ifndef EMULATOR_EVENTS_H
#define EMULATOR_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How much of its memory the board can spare for an application: a program of a test changes it. */
extern size_t memory_spare;

/* At the start: waits for the host to say why and with what in flash and memory the chip wakes. */
void events_wake(void);

/* Waits for an event, `ms` of the chip's clock at most, and tells the firmware of all that have come. */
void events_wait(uint32_t ms);

/* The same without waiting, or looking for more. */
void events_take(void);

/* Offers the firmware the bytes that it has not taken yet. True: it has them all, and may be told more. */
bool events_offer(void);

#endif
