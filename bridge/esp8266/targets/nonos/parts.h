/* The parts of this target, for main.c. They do not call main.c. */
#ifndef NONOS_PARTS_H
#define NONOS_PARTS_H

#include <stdbool.h>
#include <stdint.h>

/* Clears the memory for words (words.h), before anything uses it. */
void words_clear(void);

/* Each sets up its part, once. */
void chip_begin(void);
void serial_begin(void);
void wifi_begin(void);

/* Each reports the events of its part to the firmware. */
void serial_tell(void);
void wifi_tell(void);
void tcp_tell(void);

/* Offers the firmware the bytes that it has not taken yet. True: it took some, and may have to run again. */
bool tcp_offer(void);

/* Sets the DNS server of a board with a static address. */
void tcp_use_dns(uint32_t address);

/* The DNS server; 0: none. */
uint32_t tcp_dns(void);

/* Ends the connection, if there is one, and tells the other end. It must not be used again. */
void tcp_finish(void);

/* DHCP's lease time in seconds; 0: the address is not DHCP's. */
uint32_t tcp_lease(void);

/* Waits until the last byte is sent. */
void serial_drain(void);

#endif
