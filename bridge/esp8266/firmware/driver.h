/*
 * Drives the core with the board's TCP connection, as bridge/host/driver.ts does on a PC. If the settings have two
 * addresses of the server, it changes to the other one after each attempt without a link; after a lost link, the same
 * address comes first.
 */
#ifndef HOLDFAST_DRIVER_H
#define HOLDFAST_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"

/* The result of attempts to reach the server since the last call of `driver_run`. */
enum driver_news { DRIVER_NO_NEWS, DRIVER_HEARD, DRIVER_SILENCE };

/* Boots the core; the application must be loaded. `settings` must stay valid. */
void driver_boot(const struct settings *settings, uint32_t now);

/* The dialect, and the owner of the position (kept.h); 0 before the first boot. */
uint8_t driver_dialect(void);
uint32_t driver_owner(void);

/* The chip is about to sleep: ends the link. `port_sleep` ends the connection. */
void driver_sleep(uint32_t now);

/* Ends the connection, if there is one, as the WiFi is lost or will be left. */
void driver_drop(uint32_t now);

/* Does everything that can be done now. Lowers *wait to the ms until the next call. */
enum driver_news driver_run(bool wifi_up, uint32_t now, uint32_t *wait);

/* Whether the link is up. */
bool driver_up(void);

/* Events of the connection. */
void driver_opened(uint32_t now);
void driver_closed(uint32_t now);
void driver_no_address(uint32_t now);
size_t driver_received(const uint8_t *bytes, size_t length);

/* Sends a console line to the server, too, if `log` is set and the link is up. A line without room is counted. */
void driver_log(const uint8_t *line, size_t length);

#endif
