#ifndef FUZZ_LWIP_DNS_H
#define FUZZ_LWIP_DNS_H

#include "lwip/tcp.h"

typedef void (*dns_found_callback)(const char *name, ip_addr_t *address, void *argument);
err_t dns_gethostbyname(const char *name, ip_addr_t *address, dns_found_callback found, void *argument);

void dns_setserver(u8_t number, ip_addr_t *server);
ip_addr_t dns_getserver(u8_t number);

#endif
