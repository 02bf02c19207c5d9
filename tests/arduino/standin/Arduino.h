/*
 * A stand-in for the parts of Arduino's API that the library and its examples use, on a PC. The macros that cores define
 * choose the board: ESP8266, ESP32, ARDUINO_ARCH_RP2040, or none of them.
 *
 * Environment variables choose how it behaves: see standin.cpp.
 */
#ifndef STANDIN_ARDUINO_H
#define STANDIN_ARDUINO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HIGH 1
#define LOW 0
#define OUTPUT 1
#define INPUT 0
#define LED_BUILTIN 2
#define A0 17
#define D1 5

unsigned long millis();
void delay(unsigned long ms);
void pinMode(uint8_t pin, uint8_t mode);
void digitalWrite(uint8_t pin, uint8_t level);
int digitalRead(uint8_t pin);
int analogRead(uint8_t pin);

class String {
 public:
  String(unsigned long number) { snprintf(text_, sizeof text_, "%lu", number); }
  const char *c_str() const { return text_; }

 private:
  char text_[24];
};

class Print {
 public:
  virtual ~Print() {}
  virtual size_t write(uint8_t byte) = 0;
  virtual size_t write(const uint8_t *bytes, size_t length) = 0;
  void print(const char *text) { write(reinterpret_cast<const uint8_t *>(text), strlen(text)); }
  void println(const char *text) {
    print(text);
    print("\n");
  }
};

class Stream : public Print {
 public:
  virtual int available() = 0;
  virtual int read() = 0;
  virtual int peek() = 0;
  void setTimeout(unsigned long ms) { _timeout = ms; }

 protected:
  unsigned long _timeout = 1000;
};

class IPAddress {
 public:
  IPAddress(uint8_t = 0, uint8_t = 0, uint8_t = 0, uint8_t = 0) {}
};

class HardwareSerial : public Stream {
 public:
  void begin(unsigned long) {}
  size_t write(uint8_t byte) override { return write(&byte, 1); }
  size_t write(const uint8_t *bytes, size_t length) override;
  int available() override { return 0; }
  int read() override { return -1; }
  int peek() override { return -1; }
};
extern HardwareSerial Serial;

uint32_t standin_random();

#if defined(ESP8266)
/* The vendor's header defines these. */
typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
#define LIKELY(x) (x)

class EspClass {
 public:
  uint32_t random() { return standin_random(); }
  bool rtcUserMemoryRead(uint32_t offset, uint32_t *words, size_t size);
  bool rtcUserMemoryWrite(uint32_t offset, uint32_t *words, size_t size);
};
extern EspClass ESP;
#elif defined(ESP32)
#define RTC_NOINIT_ATTR
#elif defined(ARDUINO_ARCH_RP2040)
class RP2040 {
 public:
  uint32_t hwrand32() { return standin_random(); }
};
extern RP2040 rp2040;
#endif

void setup();
void loop();

#endif
