// A sketch for builder_test.ts, on a board whose core has no socket, so without a server.
#include <HoldfastChannels.h>
class Nowhere : public Client {
 public:
  int connect(IPAddress, uint16_t) override { return 0; }
  int connect(const char *, uint16_t) override { return 0; }
  size_t write(uint8_t) override { return 0; }
  size_t write(const uint8_t *, size_t) override { return 0; }
  int available() override { return 0; }
  int read() override { return -1; }
  int read(uint8_t *, size_t) override { return -1; }
  int peek() override { return -1; }
  void flush() override {}
  void stop() override {}
  uint8_t connected() override { return 0; }
  operator bool() override { return false; }
};
Nowhere nowhere;
Holdfast<121, 256, 336, 4> holdfast(nowhere);
HoldfastChannels channels(holdfast);
uint32_t noise() { return 4; }

void setup() {
  holdfast.random(noise);
  holdfast.begin("door", "192.168.1.10");
  channels.begin("@door 1");
}

void loop() {
  holdfast.loop();
  channels.tell("=temp", HoldfastValue(21.5, 1));
}
