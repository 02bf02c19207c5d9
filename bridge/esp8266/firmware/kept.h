/* The position in the server's stream, in memory that survives a reset. */
#ifndef HOLDFAST_KEPT_H
#define HOLDFAST_KEPT_H

#include "core.h"

/* The position, if a valid one was saved with the same owner; else zeros. `owner`: a hash of id and server. */
struct core_position kept_read(uint32_t owner);
void kept_write(uint32_t owner, struct core_position position);

#endif
