/*
 * Suites 3 and 4: what lies between the connection and the core. The greeting passes as it is; behind it everything is in
 * sealed records (records.h), both ways.
 */
#ifndef HOLDFAST_SEAL_H
#define HOLDFAST_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "records.h"

/* A connection begins, in this suite; 0: there is no key, so it is not sealed. */
void seal_begin(uint8_t suite);

/* Draws a secret for this connection, and makes the ephemeral key of it that the hello of suite 4 says. False: in this
 * suite it says none. Takes 0.1 s, and about 950 bytes of stack. */
bool seal_ephemeral(uint8_t key[32]);

/* The server has proven its key: makes the keys of this connection, of all that was said; once, and where it is wanted.
 * Needs about 1050 bytes of stack; in suite 3 about 650. */
void seal_derive(const uint8_t key[32], const uint8_t *greeting, size_t length);

/* Sends a piece of the core's; there is room for HOLDFAST_RECORD bytes more. */
void seal_send(const uint8_t *piece, size_t length);

/* Takes what has arrived, as far as the core has room for it, and returns how many bytes. The core must have nothing
 * more to do, and is to be polled afterwards. */
size_t seal_receive(const uint8_t *bytes, size_t length, uint32_t now);

/* Whether a record was none of the server's next ones: then nothing that arrives means anything. */
bool seal_broken(void);

#endif
