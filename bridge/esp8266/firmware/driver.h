/*
 * Drives the core: carries out what it asks for, over the board's TCP connection, as bridge/host/driver.ts does on a PC.
 * Where the settings have two addresses of the server, it goes to the other one after each attempt that has brought no
 * link, and a link that was lost is first sought where it was.
 */
#ifndef HOLDFAST_DRIVER_H
#define HOLDFAST_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"

/* What became of the attempts to reach the server since the last call of `driver_run`. */
enum driver_news { DRIVER_NO_NEWS, DRIVER_HEARD, DRIVER_SILENCE };

/* Boots the core; the application must be loaded. `settings` must stay. */
void driver_boot(const struct settings *settings, uint32_t now);

/* The dialect and whose position is kept, of what was booted; zeros before. */
uint8_t driver_dialect(void);
uint32_t driver_owner(void);

/* The chip is about to sleep: the link is over. The connection is left to `port_sleep`. */
void driver_sleep(uint32_t now);

/* Ends the connection, if there is one: the WiFi is gone, or about to be left. */
void driver_drop(uint32_t now);

/* Does all that can be done. Lowers *wait to the ms until it wants to be called again. */
enum driver_news driver_run(bool wifi_up, uint32_t now, uint32_t *wait);

/* Whether there is a link. */
bool driver_up(void);

/* Events of the connection. */
void driver_opened(uint32_t now);
void driver_closed(uint32_t now);
void driver_no_address(uint32_t now);
size_t driver_received(const uint8_t *bytes, size_t length);

/* Sends a line of the console to the server, too, if that is set and possible; else it is counted. */
void driver_log(const uint8_t *line, size_t length);

#endif
