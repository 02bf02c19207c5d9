#ifndef FUZZ_SDK_SPI_FLASH_H
#define FUZZ_SDK_SPI_FLASH_H
#include <stdint.h>
enum { SPI_FLASH_RESULT_OK, SPI_FLASH_RESULT_ERR };
#define SPI_FLASH_SEC_SIZE 4096
int spi_flash_erase_sector(uint16_t sector);
int spi_flash_write(uint32_t address, uint32_t *words, uint32_t length);
int spi_flash_read(uint32_t address, uint32_t *words, uint32_t length);
#endif
