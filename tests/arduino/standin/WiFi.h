#ifndef STANDIN_WIFI_H
#define STANDIN_WIFI_H

#include "Client.h"

class WiFiClient : public StandinClient {
 public:
  static void setDefaultNoDelay(bool) {}
  void setConnectionTimeout(uint32_t) {}
};

class WiFiClass {
 public:
  void begin(const char *, const char *) {}
};
extern WiFiClass WiFi;

#endif
