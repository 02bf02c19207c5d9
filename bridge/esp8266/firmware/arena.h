/*
 * The memory of the application and its interpreter: one piece of the board's heap, allocated from its front. The
 * firmware gets it twice: first a large one to measure how much is needed, then one of that length. After the start
 * the arena is sealed: nothing allocates any more, so nothing can fail or fragment later.
 */
#ifndef HOLDFAST_ARENA_H
#define HOLDFAST_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* Most bytes that an application and its interpreter get. */
#define ARENA_MOST (32 * 1024)

/* Gets as much memory as the board can spare, up to ARENA_MOST; perhaps none. Earlier allocations are gone. */
void arena_open(void);

/* Gets exactly this much instead. False: the board cannot spare it, and the arena is empty. */
bool arena_fit(size_t length);

/* Gives all of it back to the board. */
void arena_close(void);

/* Frees all allocations. */
void arena_reset(void);

/* From now on, every allocation fails with 0, and is counted. */
void arena_seal(void);

/* Allocates zeroed memory, aligned to 4 (to 8 if the length is a multiple of 8); 0: there is no room. */
void *arena_allocate(size_t length);

/* Changes the length of an allocation; new bytes are zeroed. The newest allocation grows in place. */
void *arena_resize(void *block, size_t length, size_t old_length);

/* Frees the newest allocation; any other stays until the next reset. */
void arena_release(void *block);

/* Bytes that are allocated. */
size_t arena_used(void);

/* Bytes that can be allocated in one piece, a multiple of 8. */
size_t arena_left(void);

/* Frees the end of the newest allocation: this much of it stays, rounded up to a multiple of 8. */
void arena_trim(size_t length);

/* Whether an allocation has failed since it was opened. */
bool arena_refused(void);

/* Its use, in bytes: allocated now, its length, and released without being freed. */
struct arena_use {
  size_t used, length, lost;
  unsigned refused; /* requests after the seal, or without room */
};
struct arena_use arena_use(void);

#endif
