/* CRC-32 of IEEE 802.3, as in zlib. */
#ifndef HOLDFAST_CRC32_H
#define HOLDFAST_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Continues with `length` more bytes; `crc` is the result for the bytes before, or 0. */
uint32_t crc32(uint32_t crc, const void *bytes, size_t length);

#endif
