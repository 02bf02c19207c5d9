#ifndef FUZZ_LWIP_NETIF_H
#define FUZZ_LWIP_NETIF_H

struct netif {
  struct dhcp *dhcp;
};
extern struct netif *netif_default;

#endif
