/* What the parts of this board tell each other. */
#ifndef NONOS_BOARD_H
#define NONOS_BOARD_H

#include <stdbool.h>
#include <stdint.h>

/* Something has happened that `board_run` is to look at. From anywhere, also from an interrupt. */
void board_wake(void);

/* Clears the memory for words (words.h), before anything uses it. */
void words_clear(void);

/* Each sets up its part, once. */
void serial_begin(void);
void wifi_begin(void);

/* Each tells the firmware what has happened in its part since the last time. */
void serial_tell(void);
void wifi_tell(void);
void tcp_tell(void);

/* Hands the firmware what it has not taken yet. True: it took some, and may have to run again. */
bool tcp_offer(void);

/* Waits until the last byte has left. */
void serial_drain(void);

#endif
