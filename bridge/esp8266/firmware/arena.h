/*
 * The memory of the application and of the interpreter that runs it: one piece, asked of the board once,
 * and given out from its front. After the start it is sealed: nothing allocates any more, so nothing can
 * fail or fragment later.
 */
#ifndef HOLDFAST_ARENA_H
#define HOLDFAST_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* Takes a piece of memory, aligned to 8. */
void arena_open(void *start, size_t length);

/* Forgets everything that was given out. */
void arena_reset(void);

/* Nothing is given out any more. An attempt is counted, and gets 0. */
void arena_seal(void);

/* Zeroed, aligned to 4 (to 8 where that is asked for with a multiple of 8); 0: there is no room. */
void *arena_allocate(size_t length);

/* A new length for what was given out; what is new is zeroed. Grows in place at the end of the arena. */
void *arena_resize(void *block, size_t length, size_t old_length);

/* Takes back what was given out last; anything else stays until the next reset. */
void arena_release(void *block);

/* In bytes: given out at present, most so far, all there is, and released in vain. */
struct arena_use {
  size_t used, most, length, lost;
  unsigned refused; /* requests after the seal, or without room */
};
struct arena_use arena_use(void);

#endif
