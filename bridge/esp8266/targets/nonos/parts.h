/* The parts of this target, for main.c; none of them calls it back. */
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

/* Each tells the firmware what has happened in its part since the last time. */
void serial_tell(void);
void wifi_tell(void);
void tcp_tell(void);

/* Hands the firmware what it has not taken yet. True: it took some, and may have to run again. */
bool tcp_offer(void);

/* Names are looked up there: the board has an address that is not from DHCP. */
void tcp_use_dns(uint32_t address);

/* Where names are looked up; 0: nowhere. */
uint32_t tcp_dns(void);

/* Ends the connection, if there is one, and tells the other end. It must not be used again. */
void tcp_finish(void);

/* For how many seconds DHCP has given the board its address; 0: it is not DHCP's. */
uint32_t tcp_lease(void);

/* Waits until the last byte has left. */
void serial_drain(void);

#endif
