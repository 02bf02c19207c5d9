/* Parsing of the arguments of `begin`, and hex digits. Internal to the library. */
#ifndef HOLDFAST_SETTINGS_H
#define HOLDFAST_SETTINGS_H

#include "Holdfast.h"

/* False: it is not 64 hex digits. */
bool holdfast_decode_key(const char *hex, uint8_t key[32]);

/* Whether it is a valid name of a device. */
bool holdfast_is_id(const char *id);

/* Splits an address into a name for the socket and a port. False: it is not an address. */
bool holdfast_split(const char *address, char name[HOLDFAST_MOST_HOST + 1], uint16_t &port);

/* One of the two lower-case hex digits of a byte. */
char holdfast_digit(uint8_t byte, bool low);

#endif
