/* Events from the host: how the chip wakes, and what happens then. */
#ifndef EMULATOR_EVENTS_H
#define EMULATOR_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How much memory the board can spare for an application; a test's program changes it. */
extern size_t memory_spare;

/* At the start: waits until the host tells why the chip wakes, and sends the contents of flash and memory. */
void events_wake(void);

/* Waits for an event, at most `ms` of the chip's clock, and reports all received events to the firmware. */
void events_wait(uint32_t ms);

/* The same without waiting or reading. */
void events_take(void);

/* Offers the firmware the bytes that it has not taken yet. True: it has taken all. */
bool events_offer(void);

#endif
