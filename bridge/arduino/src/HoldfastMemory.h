/*
 * Keeps a link's position through deep sleep and resets by a button, a watchdog or the program; not through a loss of
 * power: then messages that were on their way to the board may come twice.
 *
 *     holdfast.memory(holdfastLoad, holdfastSave);
 *
 * For one link; a sketch with several links writes two functions for each. Include it in one file only.
 */
#ifndef HOLDFAST_MEMORY_H
#define HOLDFAST_MEMORY_H

#include "Holdfast.h"

#if defined(ARDUINO_ARCH_RP2040)
#include <pico.h>
#endif

#if defined(ESP8266)

/* In words of the RTC's user memory, of which updates over the air use the first 32. Define another offset if your
 * sketch uses these words. */
#ifndef HOLDFAST_RTC_OFFSET
#define HOLDFAST_RTC_OFFSET 64
#endif

static inline void holdfastLoad(HoldfastPosition &position) {
  ESP.rtcUserMemoryRead(HOLDFAST_RTC_OFFSET, reinterpret_cast<uint32_t *>(&position), sizeof position);
}

static inline void holdfastSave(const HoldfastPosition &position) {
  HoldfastPosition copy = position;
  ESP.rtcUserMemoryWrite(HOLDFAST_RTC_OFFSET, reinterpret_cast<uint32_t *>(&copy), sizeof copy);
}

#elif defined(ESP32) || (defined(ARDUINO_ARCH_RP2040) && !defined(ARDUINO_ARCH_MBED))

#if defined(ESP32)
RTC_NOINIT_ATTR static HoldfastPosition holdfast_position;
#else
static HoldfastPosition __uninitialized_ram(holdfast_position);
#endif

static inline void holdfastLoad(HoldfastPosition &position) { position = holdfast_position; }

static inline void holdfastSave(const HoldfastPosition &position) { holdfast_position = position; }

#else
#error "HoldfastMemory.h does not know this board: give memory() two functions of your own"
#endif

#endif
