/* Receives settings on the serial line, at any time, in Improv-Serial frames and ours. See SETTINGS.md. */
#ifndef HOLDFAST_SETUP_H
#define HOLDFAST_SETUP_H

#include <stddef.h>
#include <stdint.h>

#include "improv.h"
#include "settings.h"

/* Reads the settings sector into `settings`, or the defaults. */
enum settings_state setup_read(struct settings *settings);

/* Takes bytes from the serial line. */
void setup_serial(const uint8_t *bytes, size_t length, uint32_t now);

/* Restarts the board if settings have changed. */
void setup_run(void);

/* State of WiFi, for answers: up, joining, or neither. */
extern enum improv_state setup_wifi;

#endif
