/* The core as wasm2c has translated it, in the interpreter's place. For measuring. */
#include "engine.h"

#include "core_wasm2c.h"

const char *const engine_names[ENGINE_FUNCTIONS];

#define MEMORY 4096
static Z_core_instance_t instance;
static uint8_t memory[MEMORY] __attribute__((aligned(8)));

void wasm_rt_trap(wasm_rt_trap_t trap) {
  (void)trap;
  for (;;) {}
}

uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...) {
  return params + results;
}

void wasm_rt_allocate_memory(wasm_rt_memory_t *made, uint32_t pages, uint32_t max_pages) {
  *made = (wasm_rt_memory_t){ memory, pages, max_pages, MEMORY };
}

void wasm_rt_free_memory(wasm_rt_memory_t *gone) {
  (void)gone;
}

void Z_hostZ_hmac(struct Z_host_instance_t *host, u32 at, u32 length, u32 to) {
  (void)host, (void)at, (void)length, (void)to;
}

const char *engine_load(const uint8_t *wasm, size_t length, const struct engine_import *imports,
                        uint32_t (*needed)(void)) {
  (void)wasm, (void)length, (void)imports;
  Z_core_init_module();
  Z_core_instantiate(&instance, 0);
  return needed() > MEMORY ? "too large" : 0;
}

uint32_t engine_call(enum engine_function function, uint32_t a, uint32_t b) {
  switch (function) {
    case CORE_REGISTERS: return Z_coreZ_registers(&instance);
    case CORE_INIT: return Z_coreZ_init(&instance, a, b);
    case CORE_OPENED: return Z_coreZ_opened(&instance, a), 0;
    case CORE_CLOSED: return Z_coreZ_closed(&instance, a), 0;
    case CORE_RECEIVED: return Z_coreZ_received(&instance, a, b), 0;
    case CORE_POLL: return Z_coreZ_poll(&instance, a, b);
    case CORE_TAKE: return Z_coreZ_take(&instance), 0;
    case CORE_ROOM: return Z_coreZ_room(&instance, a);
    case CORE_WRITE: return Z_coreZ_write(&instance, a, b);
    default: return 0;
  }
}

bool engine_has(enum engine_function function) {
  return function < ON_START;
}

const char *engine_trap(void) {
  return 0;
}

void *engine_at(uint32_t address, uint32_t length) {
  return address > MEMORY || length > MEMORY - address ? 0 : memory + address;
}
