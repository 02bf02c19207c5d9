/* The board's functions for the application: the imports that client-as/assembly/board.ts declares. */
#ifndef HOLDFAST_APPLICATION_H
#define HOLDFAST_APPLICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

extern const struct engine_import application_imports[];

/* The key for the proofs of dialect 2: 32 bytes, copied; 0: none. */
void application_key(const uint8_t *key);

/* Set by slept.c: how far the device's milliseconds are ahead of the board's after a sleep, and whether this start ends
 * one. */
extern uint32_t application_ahead;
extern uint32_t application_woke;

/* How many bytes of the memory that survives resets the application has read or written since power-on, from the
 * lowest. The others are not its own. */
extern uint32_t application_kept_used;

/* Before an application starts: clears its interval and its requests. */
void application_reset(void);

/* Whether onTick is due; if so, plans the next one. Lowers *wait to the ms until then. */
bool application_tick(uint32_t now, uint32_t *wait);

/* Whether the application has asked for a restart since the last call. */
bool application_wants_restart(void);

/* Whether the application sets the device's settings itself. */
bool application_configures(void);

/* Whether it can ask for sleep. */
bool application_sleeps(void);

/* Takes fields as in the settings sector; set by the firmware. True: accepted. */
extern bool (*application_configure)(const uint8_t *fields, uint32_t length);
/* Asks for a sleep of this many ms; set by the firmware. True: it will sleep. */
extern bool (*application_sleep)(int32_t ms);
/* 0 off, 1 joining, 2 up, 3 failed; set by the firmware. */
extern uint32_t (*application_wifi)(void);

#endif
