/*
 * The memory of the application and of the interpreter that runs it: one piece of the board's, given out from its
 * front. It is asked for twice: a large one to find out in it how much is needed, then one of that length. After
 * the start it is sealed: nothing allocates any more, so nothing can fail or fragment later.
 */
#ifndef HOLDFAST_ARENA_H
#define HOLDFAST_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* What an application and its interpreter get at most. */
#define ARENA_MOST (32 * 1024)

/* Asks the board for as much as it can spare, up to that; it may be nothing. Memory given out before is gone. */
void arena_open(void);

/* Asks for just this much in its place. False: the board cannot spare it, and the arena is empty. */
bool arena_fit(size_t length);

/* Gives all of it back to the board. */
void arena_close(void);

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

/* Bytes that are given out. */
size_t arena_used(void);

/* Bytes that can be given out in one piece, in eights. */
size_t arena_left(void);

/* Takes back the end of what was given out last: this much of it stays, rounded up to eights. */
void arena_trim(size_t length);

/* Whether there was no room for something, since it was opened. */
bool arena_refused(void);

/* All of it, in bytes: given out at present, all there is, and released in vain. */
struct arena_use {
  size_t used, length, lost;
  unsigned refused; /* requests after the seal, or without room */
};
struct arena_use arena_use(void);

#endif
