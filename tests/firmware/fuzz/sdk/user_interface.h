#ifndef FUZZ_SDK_USER_INTERFACE_H
#define FUZZ_SDK_USER_INTERFACE_H
#include <stdint.h>
uint16_t system_adc_read(void);
#endif
