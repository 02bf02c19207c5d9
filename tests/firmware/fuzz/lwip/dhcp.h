#ifndef FUZZ_LWIP_DHCP_H
#define FUZZ_LWIP_DHCP_H

#include "lwip/tcp.h"

struct dhcp {
  u8_t state;
  u32_t offered_t0_lease;
};

#endif
