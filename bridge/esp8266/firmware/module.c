#include "module.h"

#include "bytes.h"

enum { IMPORTS = 2, EXPORTS = 7 };

bool module_number(const uint8_t **at, const uint8_t *end, uint32_t *number) {
  *number = 0;
  for (unsigned shift = 0; shift < 35 && *at < end; shift += 7) {
    uint8_t byte = *(*at)++;
    *number |= (uint32_t)(byte & 127) << shift;
    if (byte < 128) return shift < 28 || byte < 16;
  }
  return false;
}

bool module_name(const uint8_t **at, const uint8_t *end, struct module_name *name) {
  if (!module_number(at, end, &name->length) || name->length > (uint32_t)(end - *at)) return false;
  name->text = *at;
  *at += name->length;
  return true;
}

bool module_is(const struct module_name *name, const char *text) {
  return name->length == text_length(text) && !bytes_compare(name->text, text, name->length);
}

/* Enters the section at *at: moves *at to its content, and returns its end; 0: it is cut off. */
static const uint8_t *enter(const uint8_t **at, const uint8_t *all, uint8_t *kind) {
  uint32_t size;
  *kind = *(*at)++;
  return module_number(at, all, &size) && size <= (uint32_t)(all - *at) ? *at + size : 0;
}

bool module_section(const uint8_t *wasm, size_t length, uint8_t wanted, const uint8_t **at, const uint8_t **end) {
  uint8_t kind;
  for (*end = wasm + 8; *end && *end < wasm + length;) {
    *at = *end;
    *end = enter(at, wasm + length, &kind);
    if (*end && kind == wanted) return true;
  }
  return false;
}

/* Whether the sections fill the module exactly. */
static bool is_whole(const uint8_t *wasm, size_t length) {
  uint8_t kind;
  const uint8_t *at = wasm + 8;
  while (at && at < wasm + length) at = enter(&at, wasm + length, &kind);
  return at == wasm + length;
}

static bool has(const struct engine_import *imports, const struct module_name names[2]) {
  for (; imports->module; imports++) {
    if (module_is(&names[0], imports->module) && module_is(&names[1], imports->name)) return true;
  }
  return false;
}

static enum module_fault check_imports(const uint8_t *at, const uint8_t *end, const struct engine_import *imports,
                                       struct module_name lacks[2]) {
  uint32_t count, type;
  if (!module_number(&at, end, &count)) return MODULE_BAD;
  while (count--) {
    if (!module_name(&at, end, &lacks[0]) || !module_name(&at, end, &lacks[1]) || at >= end) return MODULE_BAD;
    if (*at++ || !has(imports, lacks)) return MODULE_LACKS; /* also for a table, a memory or a global */
    if (!module_number(&at, end, &type)) return MODULE_BAD;
  }
  return MODULE_GOOD;
}

/* Whether functions with these names are all among the exports. */
static bool has_all(const uint8_t *at, const uint8_t *end, const char *const *names, unsigned names_count) {
  uint32_t count, found = 0;
  if (!module_number(&at, end, &count)) return false;
  while (count--) {
    struct module_name name;
    uint32_t index;
    if (!module_name(&at, end, &name) || at >= end) return false;
    bool is_function = !*at++;
    if (!module_number(&at, end, &index)) return false;
    for (unsigned i = 0; is_function && i < names_count; i++) {
      if (module_is(&name, names[i])) found |= 1u << i;
    }
  }
  return found == (1u << names_count) - 1;
}

enum module_fault module_check(const uint8_t *wasm, size_t length, const char *const *exports, unsigned count,
                               const struct engine_import *imports, struct module_name lacks[2]) {
  static const uint8_t start[8] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };
  const uint8_t *at, *end;
  if (length < sizeof start || bytes_compare(wasm, start, sizeof start) || !is_whole(wasm, length)) {
    return MODULE_BAD;
  }
  if (!module_section(wasm, length, EXPORTS, &at, &end) || !has_all(at, end, exports, count)) return MODULE_BAD;
  return module_section(wasm, length, IMPORTS, &at, &end) ? check_imports(at, end, imports, lacks) : MODULE_GOOD;
}
