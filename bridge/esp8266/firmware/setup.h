/* Settings come in on the serial line, at any time: Improv-Serial frames, and ours. See SETTINGS.md. */
#ifndef HOLDFAST_SETUP_H
#define HOLDFAST_SETUP_H

#include <stddef.h>
#include <stdint.h>

#include "improv.h"
#include "settings.h"

/* Reads the settings sector. `settings` becomes its values, or defaults. */
enum settings_state setup_read(struct settings *settings);

/* Takes bytes of the serial line. */
void setup_serial(const uint8_t *bytes, size_t length, uint32_t now);

/* Carries out what was asked for, if anything is left to do; restarts the board after a change. */
void setup_run(void);

/* For answers: whether WiFi is up, joining, or neither. */
extern enum improv_state setup_wifi;

#endif
