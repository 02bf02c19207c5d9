/* The part of the vendor's interface that targets/nonos uses; fuzz_main.c implements it. */
#ifndef FUZZ_SDK_MEM_H
#define FUZZ_SDK_MEM_H
#include <stddef.h>
void *os_malloc_dram(size_t length);
void os_free(void *block);
#endif
