#include "arena.h"

#include <stdint.h>

#include "bytes.h"
#include "port.h"

static uint8_t *start, *end, *top;
static uint8_t *last; /* the newest block, until it is released */
static size_t lost;
static unsigned refused;
static bool sealed;

static void take(size_t least, size_t wanted) {
  size_t length;
  start = port_memory(least, wanted, &length);
  end = start ? start + length : 0;
  refused = 0;
  arena_reset();
}

void arena_open(void) {
  take(0, ARENA_MOST);
}

bool arena_fit(size_t length) {
  length = (length + 7) & ~(size_t)7;
  take(length, length);
  return start != 0;
}

void arena_close(void) {
  take(0, 0);
}

void arena_reset(void) {
  top = start;
  last = 0;
  lost = 0;
  sealed = false;
}

void arena_seal(void) {
  sealed = true;
}

static void *refuse(void) {
  refused++;
  return 0;
}

void *arena_allocate(size_t length) {
  uint8_t *block = length & 7 ? top : (uint8_t *)(((uintptr_t)top + 7) & ~(uintptr_t)7);
  size_t rounded = (length + 3) & ~(size_t)3;
  if (sealed || rounded < length || block > end || rounded > (size_t)(end - block)) return refuse();
  top = block + rounded;
  last = block;
  bytes_fill(block, 0, rounded);
  return block;
}

void *arena_resize(void *block, size_t length, size_t old_length) {
  if (!block) return arena_allocate(length);
  if (length <= old_length) return block;
  if (block != last) {
    void *moved = arena_allocate(length);
    if (!moved) return 0;
    bytes_copy(moved, block, old_length);
    lost += old_length;
    return moved;
  }
  size_t rounded = (length + 3) & ~(size_t)3;
  if (sealed || rounded < length || rounded > (size_t)(end - last)) return refuse();
  top = last + rounded;
  bytes_fill(last + old_length, 0, rounded - old_length);
  return block;
}

void arena_release(void *block) {
  if (!block || block != last) return;
  top = last;
  last = 0;
}

size_t arena_used(void) {
  return top - start;
}

size_t arena_left(void) {
  uint8_t *block = (uint8_t *)(((uintptr_t)top + 7) & ~(uintptr_t)7);
  return block < end ? (end - block) & ~(size_t)7 : 0;
}

void arena_trim(size_t length) {
  uint8_t *rest = last + ((length + 7) & ~(size_t)7);
  if (last && rest < top) top = rest;
}

bool arena_refused(void) {
  return refused != 0;
}

struct arena_use arena_use(void) {
  return (struct arena_use){ top - start, end - start, lost, refused };
}
