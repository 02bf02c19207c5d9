/* What survives a reset: how far the stream from the server has been taken. */
#ifndef HOLDFAST_KEPT_H
#define HOLDFAST_KEPT_H

#include "core.h"

/* The position, if there is one that is whole and was kept under the same id and server; else zeros.
 * `owner`: a number that stands for those two. */
struct core_position kept_read(uint32_t owner);
void kept_write(uint32_t owner, struct core_position position);

#endif
