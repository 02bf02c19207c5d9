#ifndef SIM_PINS_H
#define SIM_PINS_H

#include <stdbool.h>

/* Nothing pulls any of them low. Call it at the start. */
void pins_begin(void);

/* From here on pins are another program's: it reads PATH.from and writes PATH.to, which are there. */
void pins_elsewhere(const char *path);

/* The world pulls a pin, which is the host's, to a level. */
void pins_pulled(unsigned pin, bool high);

/* The world sets the analogue input. */
void pins_analogue(unsigned value);

#endif
