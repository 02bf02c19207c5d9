#ifndef STANDIN_ESP_RANDOM_H
#define STANDIN_ESP_RANDOM_H

#include <stdint.h>

uint32_t standin_random();
static inline uint32_t esp_random() { return standin_random(); }

#endif
