#ifndef STANDIN_EEPROM_H
#define STANDIN_EEPROM_H

#include "Arduino.h"

/* An EEPROM in the file that HOLDFAST_EEPROM names. */
class EEPROMClass {
 public:
  void begin(size_t size);
  bool commit();
  template <typename T>
  void get(int address, T &value) {
    memcpy(&value, bytes_ + address, sizeof value);
  }
  template <typename T>
  void put(int address, const T &value) {
    memcpy(bytes_ + address, &value, sizeof value);
  }

 private:
  uint8_t bytes_[64];
  int file_ = -1;
};
extern EEPROMClass EEPROM;

#endif
