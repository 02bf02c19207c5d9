/* Reads the sections of a .wasm in place, in flash, whatever its bytes. */
#ifndef HOLDFAST_MODULE_H
#define HOLDFAST_MODULE_H

#include "engine.h"

/* A name in a module, without a zero at its end. */
struct module_name {
  const uint8_t *text;
  uint32_t length;
};

/* Reads a number, or a name, at *at, and moves *at behind it. False: it is cut off. */
bool module_number(const uint8_t **at, const uint8_t *end, uint32_t *number);
bool module_name(const uint8_t **at, const uint8_t *end, struct module_name *name);

bool module_is(const struct module_name *name, const char *text);

/* Finds the content of a section, and its end; false: there is no such section. */
bool module_section(const uint8_t *wasm, size_t length, uint8_t wanted, const uint8_t **at, const uint8_t **end);

enum module_fault { MODULE_GOOD, MODULE_BAD, MODULE_LACKS };

/* Checks, without running it, that it is a module which exports functions with all of these names, at most 31, and
 * imports nothing but these. MODULE_LACKS: `lacks` are the two names of another import. */
enum module_fault module_check(const uint8_t *wasm, size_t length, const char *const *exports, unsigned count,
                               const struct engine_import *imports, struct module_name lacks[2]);

#endif
