#ifndef STANDIN_ETHERNET_H
#define STANDIN_ETHERNET_H

#include "Client.h"

class EthernetClient : public StandinClient {
 public:
  void setConnectionTimeout(uint16_t) {}
};

class EthernetClass {
 public:
  int begin(uint8_t *) { return 1; }
  int maintain() { return 0; }
};
extern EthernetClass Ethernet;

#endif
