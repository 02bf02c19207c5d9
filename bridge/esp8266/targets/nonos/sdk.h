/*
 * Makes the vendor's headers compatible with those of the C library: they define the same types under other names, and
 * `bool` as a byte. (For a function's result, that is the same.)
 */
#ifndef NONOS_SDK_H
#define NONOS_SDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define _C_TYPES_H_ /* leaves out theirs */
typedef uint8_t uint8, u8;
typedef int8_t sint8, int8, s8, sint8_t;
typedef uint16_t uint16, u16;
typedef int16_t sint16, int16, s16;
typedef uint32_t uint32, u32;
typedef int32_t sint32, int32, s32;
typedef uint64_t uint64;
typedef enum { OK, FAIL, PENDING, BUSY, CANCEL } STATUS;
#define BIT(n) (1u << (n))
#define LOCAL static
#define ICACHE_FLASH_ATTR
#define ICACHE_RODATA_ATTR
#define STORE_ATTR __attribute__((aligned(4)))
#define DMEM_ATTR
#define SHMEM_ATTR

/* For code that runs while the flash cannot be read: in interrupts. All other code of the firmware is in flash. */
#define IN_IRAM __attribute__((section(".iram.text")))

#endif
