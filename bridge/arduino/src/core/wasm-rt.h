/*
 * The runtime for the core's C code from wasm2c. It replaces wasm2c's own header, which needs a heap, pages of 64 KB and
 * signals: a board has none of these. The core's memory is a buffer that its owner puts, zeroed, into the instance
 * before instantiation; it never grows.
 *
 * Every access is checked against the size of that buffer. One outside of it means that the core has a bug, or that the
 * sketch has overwritten the core's memory: the program aborts, which resets the board.
 */
#ifndef HOLDFAST_WASM_RT_H
#define HOLDFAST_WASM_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* wasm2c's output contains everything that any module may need; the core needs little of it. */
#ifdef __GNUC__
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-value"
#endif
#ifdef __AVR__
#pragma GCC diagnostic ignored "-Wshift-count-overflow"
#endif
#define nearbyint(x) (x) /* some C libraries lack it, and the core uses no floating-point numbers */
#define nearbyintf(x) (x)

/* Renames the types of the translated code, as vendors' headers define the same names. The core has no 64-bit numbers:
 * u64 is used only for addresses, and a sum of addresses that wraps is checked like any other. */
#define WASM_RT_CORE_TYPES_DEFINED
#define u8 holdfast_u8
#define s8 holdfast_s8
#define u16 holdfast_u16
#define s16 holdfast_s16
#define u32 holdfast_u32
#define s32 holdfast_s32
#define u64 holdfast_u64
#define s64 holdfast_s64
#define f32 holdfast_f32
#define f64 holdfast_f64
typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint32_t u64;
typedef int32_t s64;
typedef float f32;
typedef double f64;

#undef UNLIKELY
#undef LIKELY
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define wasm_rt_memcpy __builtin_memcpy

typedef enum {
  WASM_RT_TRAP_OOB,
  WASM_RT_TRAP_INT_OVERFLOW,
  WASM_RT_TRAP_DIV_BY_ZERO,
  WASM_RT_TRAP_INVALID_CONVERSION,
  WASM_RT_TRAP_UNREACHABLE,
  WASM_RT_TRAP_CALL_INDIRECT,
  WASM_RT_TRAP_EXHAUSTION
} wasm_rt_trap_t;

#define wasm_rt_trap(reason) abort()

typedef struct {
  uint8_t *data;
  uint32_t size;
} wasm_rt_memory_t;

#define wasm_rt_is_initialized() true
#define wasm_rt_allocate_memory(memory, pages, most) ((void)(memory))
#define wasm_rt_free_memory(memory) ((void)(memory))

/* The core has no tables; these are for functions with tables, which nothing calls. */
typedef enum { WASM_RT_I32, WASM_RT_I64, WASM_RT_F32, WASM_RT_F64, WASM_RT_FUNCREF, WASM_RT_EXTERNREF } wasm_rt_type_t;
typedef void (*wasm_rt_function_ptr_t)(void);
typedef struct {
  uint32_t func_type;
  wasm_rt_function_ptr_t func;
  void *module_instance;
} wasm_rt_funcref_t;
typedef void *wasm_rt_externref_t;
#define wasm_rt_externref_null_value ((wasm_rt_externref_t)0)
typedef struct {
  wasm_rt_funcref_t *data;
  uint32_t size, max_size;
} wasm_rt_funcref_table_t;
typedef struct {
  wasm_rt_externref_t *data;
  uint32_t size, max_size;
} wasm_rt_externref_table_t;
#define wasm_rt_register_func_type(...) 0
uint32_t wasm_rt_grow_funcref_table(wasm_rt_funcref_table_t *, uint32_t, wasm_rt_funcref_t);
uint32_t wasm_rt_grow_externref_table(wasm_rt_externref_table_t *, uint32_t, wasm_rt_externref_t);

#endif
