#ifndef STANDIN_CLIENT_H
#define STANDIN_CLIENT_H

#include "Arduino.h"

class Client : public Stream {
 public:
  virtual int connect(IPAddress address, uint16_t port) = 0;
  virtual int connect(const char *host, uint16_t port) = 0;
  using Print::write;
  virtual int read(uint8_t *bytes, size_t length) = 0;
  using Stream::read;
  virtual void flush() = 0;
  virtual void stop() = 0;
  virtual uint8_t connected() = 0;
  virtual operator bool() = 0;
};

/* A real socket. With a seed it is hostile: it accepts and returns few bytes, hides received bytes, and fails to
 * connect. */
class StandinClient : public Client {
 public:
  ~StandinClient() { stop(); }
  int connect(IPAddress, uint16_t) override { return 0; }
  int connect(const char *host, uint16_t port) override;
  size_t write(uint8_t byte) override { return write(&byte, 1); }
  size_t write(const uint8_t *bytes, size_t length) override;
  int available() override;
  int read() override;
  int read(uint8_t *bytes, size_t length) override;
  int peek() override { return -1; }
  void flush() override {}
  void stop() override;
  uint8_t connected() override;
  operator bool() override { return connected(); }

 private:
  int socket_ = -1;
  bool lost_ = false;
};

#endif
