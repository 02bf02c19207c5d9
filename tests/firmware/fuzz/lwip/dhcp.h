#ifndef FUZZ_LWIP_DHCP_H
#define FUZZ_LWIP_DHCP_H

#include <stdint.h>

#include "lwip/tcp.h"

struct dhcp {
  u8_t state;
  uint32_t offered_t0_lease;
};

#endif
