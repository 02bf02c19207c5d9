/* As much of wasm2c's runtime as a module with one memory and no tables needs. */
#ifndef WASM_RT_H_
#define WASM_RT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wasm3_config.h" /* loads and stores of any alignment */

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

typedef struct {
  uint8_t *data;
  uint32_t pages, max_pages, size;
} wasm_rt_memory_t;

typedef enum { WASM_RT_TRAP_OOB, WASM_RT_TRAP_UNREACHABLE, WASM_RT_TRAP_INT_OVERFLOW, WASM_RT_TRAP_DIV_BY_ZERO,
  WASM_RT_TRAP_INVALID_CONVERSION, WASM_RT_TRAP_CALL_INDIRECT, WASM_RT_TRAP_EXHAUSTION } wasm_rt_trap_t;
typedef enum { WASM_RT_I32 } wasm_rt_type_t;
typedef void (*wasm_rt_function_ptr_t)(void);
typedef struct { uint32_t func_type; wasm_rt_function_ptr_t func; void *module_instance; } wasm_rt_funcref_t;
typedef void *wasm_rt_externref_t;
typedef struct { wasm_rt_funcref_t *data; uint32_t size; } wasm_rt_funcref_table_t;
typedef struct { wasm_rt_externref_t *data; uint32_t size; } wasm_rt_externref_table_t;
#define wasm_rt_externref_null_value 0

void wasm_rt_trap(wasm_rt_trap_t trap) __attribute__((noreturn));
uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...);
void wasm_rt_allocate_memory(wasm_rt_memory_t *memory, uint32_t pages, uint32_t max_pages);
void wasm_rt_free_memory(wasm_rt_memory_t *memory);
static inline bool wasm_rt_is_initialized(void) { return true; }

/* A load goes to a variable, a store to memory: either is the side that may be unaligned. */
#define wasm_rt_memcpy(to, from, length)                                                                  \
  (__builtin_choose_expr(__builtin_types_compatible_p(__typeof__(to), uint8_t *), m3_store, m3_load)((to), (from), \
                                                                                                     (length)))

#endif
