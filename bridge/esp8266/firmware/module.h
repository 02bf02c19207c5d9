/* Reads the sections of a .wasm in place: in flash, and whatever is in it. */
#ifndef HOLDFAST_MODULE_H
#define HOLDFAST_MODULE_H

#include "engine.h"

/* A name in a module: it has no end but its length. */
struct module_name {
  const uint8_t *text;
  uint32_t length;
};

/* A number, or a name, at *at, which is moved behind it. False: the end comes first. */
bool module_number(const uint8_t **at, const uint8_t *end, uint32_t *number);
bool module_name(const uint8_t **at, const uint8_t *end, struct module_name *name);

bool module_is(const struct module_name *name, const char *text);

/* Where a section's content begins, and its end; false: there is no such section. */
bool module_section(const uint8_t *wasm, size_t length, uint8_t wanted, const uint8_t **at, const uint8_t **end);

enum module_fault { MODULE_GOOD, MODULE_BAD, MODULE_LACKS };

/* What can be told without running it: whether it is a module that exports functions of these names, 31 at most, and
 * imports nothing but these. MODULE_LACKS: `lacks` are the two names of an import that is not among them. */
enum module_fault module_check(const uint8_t *wasm, size_t length, const char *const *exports, unsigned count,
                               const struct engine_import *imports, struct module_name lacks[2]);

#endif
