/*
 * Suites 3 and 4, between the connection and the core. The greeting passes unchanged; after it, everything is in sealed
 * records (records.h), both ways.
 */
#ifndef HOLDFAST_SEAL_H
#define HOLDFAST_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "records.h"

/* At the start of a connection in this suite; 0: there is no key, so it is not sealed. */
void seal_begin(uint8_t suite);

/* Draws a secret for this connection, and computes its ephemeral key for the hello of suite 4. False: this suite has
 * none. Takes 0.1 s, and about 950 bytes of stack. */
bool seal_ephemeral(uint8_t key[32]);

/* The server has proven its key: derives the keys of this connection from the greeting, once, in suites 3 and 4. Needs
 * about 1050 bytes of stack; in suite 3 about 650. */
void seal_derive(const uint8_t key[32], const uint8_t *greeting, size_t length);

/* Sends a piece of the core. There must be room for it and HOLDFAST_RECORD more bytes. */
void seal_send(const uint8_t *piece, size_t length);

/* Takes received bytes, as far as the core has room, and returns how many. Before, the core must have nothing more to
 * do; afterwards, it must be polled. */
size_t seal_receive(const uint8_t *bytes, size_t length, uint32_t now);

/* Whether a record was not the server's next one: then everything that arrives must be ignored. */
bool seal_broken(void);

#endif
