/* The core as C, for native.ts: one instance; its calls are numbered in the order of the exports' names there. */
#include <stdint.h>
#include <string.h>

#include "core/holdfast_core.h"

#define MEMORY 65536

static Z_holdfast_core_instance_t core;
static uint32_t memory[MEMORY / 4];
static void (*hmac)(uint32_t at, uint32_t length, uint32_t to);

uint8_t *native_boot(void (*callback)(uint32_t, uint32_t, uint32_t)) {
  hmac = callback;
  memset(&core, 0, sizeof core);
  memset(memory, 0, sizeof memory);
  core.w2c_memory.data = (uint8_t *)memory;
  core.w2c_memory.size = MEMORY;
  Z_holdfast_core_init_module();
  Z_holdfast_core_instantiate(&core, 0);
  return (uint8_t *)memory;
}

void Z_hostZ_hmac(struct Z_host_instance_t *host, u32 at, u32 length, u32 to) {
  (void)host;
  hmac(at, length, to);
}

uint32_t native_call(uint32_t number, uint32_t a, uint32_t b) {
  switch (number) {
    case 0: return Z_holdfast_coreZ_registers(&core);
    case 1: return Z_holdfast_coreZ_init(&core, a, b);
    case 2: Z_holdfast_coreZ_opened(&core, a); return 0;
    case 3: Z_holdfast_coreZ_closed(&core, a); return 0;
    case 4: Z_holdfast_coreZ_received(&core, a, b); return 0;
    case 5: return Z_holdfast_coreZ_poll(&core, a, b);
    case 6: Z_holdfast_coreZ_take(&core); return 0;
    case 7: return Z_holdfast_coreZ_room(&core, a);
    case 8: return Z_holdfast_coreZ_write(&core, a, b);
    default: return Z_holdfast_coreZ_expire(&core, a);
  }
}
