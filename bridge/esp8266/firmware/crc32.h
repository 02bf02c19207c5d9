/* CRC-32 as of IEEE 802.3 and zlib. */
#ifndef HOLDFAST_CRC32_H
#define HOLDFAST_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Of `length` more bytes; `crc` is what the bytes before gave, or 0. */
uint32_t crc32(uint32_t crc, const void *bytes, size_t length);

#endif
