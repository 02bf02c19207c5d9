/* The link to the server: carries out what the core asks for, over the board's TCP connection. */
#ifndef HOLDFAST_LINK_H
#define HOLDFAST_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"

/* What became of the attempts to reach the server since the last call of `link_run`. */
enum link_news { LINK_NO_NEWS, LINK_HEARD, LINK_SILENCE };

/* Boots the core; the application must be loaded. `settings` must stay. */
void link_boot(const struct settings *settings, uint32_t now);

/* Ends the connection, if there is one: the WiFi is gone, or about to be left. */
void link_drop(uint32_t now);

/* Does all that can be done. Lowers *wait to the ms until it wants to be called again. */
enum link_news link_run(bool wifi_up, uint32_t now, uint32_t *wait);

/* Events of the connection. */
void link_opened(uint32_t now);
void link_closed(uint32_t now);
size_t link_received(const uint8_t *bytes, size_t length);

/* A line of the console is to go to the server, too, if that is set and can be done; else it is counted. */
void link_log(const uint8_t *line, size_t length);

bool link_is_up(void);

#endif
