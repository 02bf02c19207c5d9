/*
 * Included before every file of wasm3, and before engine_wasm3.c: how it is configured for a chip with 80 KB
 * of RAM, whose flash can be read in words only.
 */
#ifndef HOLDFAST_WASM3_CONFIG_H
#define HOLDFAST_WASM3_CONFIG_H

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "bytes.h"

#define d_m3CascadedOpcodes 0
#define d_m3VerboseErrorMessages 0
#define d_m3HasFloat 0
#define d_m3NoFloatDynamic 0
#define d_m3RecordBacktraces 0
#define d_m3CodePageAlignSize 512
#define d_m3MaxConstantTableSize 32
#define d_m3MaxFunctionStackHeight 64
#define d_m3MaxDuplicateFunctionImpl 1

/* Its strings and tables are in flash, and so is the module that it reads. */
#define memcpy bytes_copy
#define memmove bytes_move
#define memset bytes_fill
#define memcmp bytes_compare
#define strlen text_length
#define strcmp text_compare

/* Its memory is the arena. */
#define calloc(count, size) arena_allocate((count) * (size))
#define realloc(block, size) arena_resize((block), (size), i_oldSize) /* its only caller knows it */
#define free arena_release

#endif
