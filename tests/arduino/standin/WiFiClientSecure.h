#ifndef STANDIN_WIFI_CLIENT_SECURE_H
#define STANDIN_WIFI_CLIENT_SECURE_H

#include "WiFi.h"

#if defined(ESP32)
class WiFiClientSecure : public WiFiClient {
 public:
  void setCACert(const char *) {}
};
#else
namespace BearSSL {
class X509List {
 public:
  explicit X509List(const char *) {}
};
}
class WiFiClientSecure : public WiFiClient {
 public:
  void setTrustAnchors(const BearSSL::X509List *) {}
};
#endif

#endif
