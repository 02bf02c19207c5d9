/*
 * What a board must do for the firmware, and how it runs it.
 *
 * The firmware (everything in this folder) knows no chip, no SDK and no operating system. A board is one
 * program that implements the `port_` functions below and calls the `firmware_` ones. It has three tasks:
 *
 *   1. call `firmware_start` once, when all `port_` functions work;
 *   2. call `firmware_run` right after that, after every event, and when the time that it returned has
 *      passed;
 *   3. tell the events: WiFi, TCP, serial input.
 *
 * All of it happens in one thread: a board calls a `firmware_` function only when no other is running,
 * and never from within a `port_` function or an interrupt. (A callback that may come at such a time
 * sets a flag, and is told later.) No `port_` function calls the firmware. None blocks for longer than
 * about a millisecond, except where it says so.
 *
 * Addresses in flash count from the start of the chip's flash. Text is UTF-8 without a final NUL
 * unless it is a `const char *` without a length. What the firmware hands over may lie where only words can be
 * read (words.h): it is copied for code that knows nothing of that.
 */
#ifndef HOLDFAST_PORT_H
#define HOLDFAST_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- The firmware, for the board to call -------------------------------------------------------- */

/* Starts: says its banner, reads settings and application from flash, and compiles the application.
 * Needs 4 KB of stack, and a second or so on a chip. */
void firmware_start(void);

/* Does all that is due. Returns in how many ms it wants to be called at the latest, 0 to 60,000;
 * 0: at once, but let the network have its turn first. */
uint32_t firmware_run(void);

enum firmware_wifi {
  WIFI_UP,          /* associated, and there is an IP address */
  WIFI_LOST,        /* was up, or associated, and is no longer; or the address is gone */
  WIFI_NOT_FOUND,   /* no access point of that name */
  WIFI_WRONG_PASSWORD, /* also what some access points say otherwise, if it is the likeliest reason */
  WIFI_REFUSED,     /* any other reason not to be let in */
  WIFI_NO_DHCP,     /* let in, and nobody has given it an address */
  WIFI_ASSOCIATED   /* let in: what is missing is the address, or to prove the password */
};

/* The state of WiFi has changed since `port_wifi_join`. A board may go on trying by itself after any of
 * the failures, and may tell the same one again; the firmware leaves and joins again when that takes
 * too long. Not told: that it is down because of `port_wifi_leave`. */
void firmware_wifi(enum firmware_wifi state);

/* The connection asked for with `port_tcp_open` is there. */
void firmware_tcp_opened(void);

/* It could not be made, or is gone (closed by the other end, reset, timed out). Told once, and never after
 * `port_tcp_close`. Bytes that had arrived before are told before. */
void firmware_tcp_closed(void);

/* The same, because nobody knows an address for the name. */
void firmware_tcp_no_address(void);

/* Bytes have arrived. Returns how many were taken, 0 to `length`. The board keeps the rest, takes no more
 * from the network meanwhile (the sender is slowed down by TCP's window), and offers the rest again after
 * each `firmware_run`. The bytes are not needed after the call. Not from flash: any alignment is fine.
 * The firmware may call `port_tcp_close` from within, and then `port_tcp_open`: what it returns means nothing
 * then, the rest of the bytes is forgotten, and whatever arrives next is of another connection. */
size_t firmware_tcp_received(const uint8_t *bytes, size_t length);

/* Bytes have come in on the serial line, in any number. */
void firmware_serial(const uint8_t *bytes, size_t length);

/* ---- The board, for the firmware to call -------------------------------------------------------- */

/* Name of the board, without spaces: "nonos". */
extern const char port_board[];

/* A clock in ms that never stops and wraps at 2^32, and one in microseconds that wraps at 2^32. */
uint32_t port_ms(void);
uint32_t port_us(void);

/* Waits, busily. 1 to 1,000. For I2C. */
void port_delay_us(uint32_t us);

/* 32 bits that nobody can guess: they make nonces. */
uint32_t port_random(void);

/* Memory for the application, in one piece aligned to 8: as much as the board can spare, at least `least` and at most
 * `most` bytes, which are multiples of 8. *length: how many bytes it is. 0, and a length of 0: there is no such piece.
 * What it gave before is taken back first, so that (0, 0) only gives back. Called in `firmware_start` alone, and the
 * only memory that the firmware ever asks for. */
void *port_memory(size_t least, size_t most, size_t *length);

/* Bytes of heap that the board has left. */
uint32_t port_free_heap(void);

/* --- Resets --- */

enum port_reset { RESET_POWER_ON, RESET_EXTERNAL, RESET_SOFTWARE, RESET_WATCHDOG, RESET_EXCEPTION, RESET_WAKE };

/* Why the chip started. That the watchdog of 20 s bit is to be told as RESET_WATCHDOG however the board does
 * it (a note in memory that survives, if it ends in a software reset). */
enum port_reset port_reset_reason(void);

/* After RESET_EXCEPTION: the processor's number for what happened, the instruction that it happened at, and the
 * address that this one wanted. False: the board does not know. */
struct port_crash {
  uint32_t cause, instruction, address;
};
bool port_crash(struct port_crash *crash);

/* Resets the chip (RESET_SOFTWARE). Does not return. What was given to `port_serial_write` goes out before. */
void port_restart(void) __attribute__((noreturn));

/* Must be called every 20 s, or the chip is reset. The firmware calls it when there is progress, and only
 * then: a board must feed neither this one nor, for longer than this, any hardware watchdog by itself. The
 * first 20 s start before `firmware_start`. */
void port_feed_watchdog(void);

/* Words that survive any reset but a loss of power, and are random after that: RTC memory. The firmware
 * puts a checksum of its own in the first 16; then come the application's, 384 bytes, and those that describe a sleep.
 * `first` + `count` <= PORT_KEPT_WORDS. */
#define PORT_KEPT_OWN 16
#define PORT_KEPT_APPLICATION 96
#define PORT_KEPT_SLEEP 15
#define PORT_KEPT_WORDS (PORT_KEPT_OWN + PORT_KEPT_APPLICATION + PORT_KEPT_SLEEP)
void port_kept_read(unsigned first, uint32_t *words, unsigned count);
void port_kept_write(unsigned first, const uint32_t *words, unsigned count);

/* Deep sleep for this many ms, 1 to PORT_MOST_SLEEP: then the chip starts, with RESET_WAKE. What was given to
 * `port_serial_write` goes out before. A connection that is there is ended such that the other end is told, if that takes
 * no time. */
#define PORT_MOST_SLEEP 9000000u /* the ESP8266's slow clock counts 32 bits of 5 us at least, and is compared as signed */
void port_sleep(uint32_t ms) __attribute__((noreturn));

/* --- Flash --- */

/* Where a part of the flash's first MB is seen in memory. It may be read in aligned 32-bit words only. */
const void *port_flash_map(uint32_t address);

/* Reads, erases a sector of 4 KB, writes. Address and length are multiples of 4 (erase: address of 4,096); words
 * are aligned. Each may take some 100 ms. False: it did not work. Writing only clears bits. */
bool port_flash_read(uint32_t address, uint32_t *words, size_t length);
bool port_flash_erase(uint32_t address);
bool port_flash_write(uint32_t address, const uint32_t *words, size_t length);

/* --- WiFi --- */

/* How a WiFi was joined: in whole words, as it may lie where others cannot be written. */
struct port_lease {
  uint32_t ip[4];           /* as in struct port_wifi; the first 0: not known */
  uint32_t access_point[2]; /* six bytes of its BSSID, one of its channel, one of zero */
  uint32_t seconds;         /* for which the address was given; 0: it is not DHCP's */
};

struct port_wifi {
  const char *ssid;
  const char *password; /* "": an open network */
  const char *country;  /* two letters; "": none is known, so channels that some countries have not are only listened to */
  const uint32_t *ip;   /* as in the settings: address, netmask, gateway, DNS; the first 0: DHCP */
  const struct port_lease *known; /* 0; or this access point alone is to be tried, and that address in place of DHCP */
};

/* Joins a network (station, power saving off): of several access points of that name the one that is heard best, also
 * one that does not say its name. Texts are NUL-terminated; nothing is needed after the call. Does not write to flash.
 * Called only when WiFi is off: at the start, or after `port_wifi_leave`. */
void port_wifi_join(const struct port_wifi *wifi);

/* Leaves the network, or gives up joining; the radio stays ready for the next join. */
void port_wifi_leave(void);

/* How the WiFi that is up was joined. False: not known. */
bool port_wifi_lease(struct port_lease *lease);

/* The address of this board, a.b.c.d as the bytes of a word from the lowest (network order in memory); 0: none. */
uint32_t port_wifi_ip(void);

/* Looks for networks; when it is done, calls `found` for each, then once with ssid 0. `found` is
 * called as an event, that is, after this has returned. `rssi` in dBm. False: not now. */
bool port_wifi_scan(void (*found)(const char *ssid, int rssi, bool locked));

/* --- TCP: one connection --- */

/* Starts to connect to `host`, a name or an IPv4 address, NUL-terminated and not needed after the call. Called
 * only while there is no connection, and WiFi is up. The answer is `firmware_tcp_opened`, `_closed` or `_no_address`.
 * What a name was found to mean is kept while attempts repeat, also when another one is tried in turn, and looked up
 * again beside them. */
void port_tcp_open(const char *host, uint16_t port);

/* Whether that name is still being looked up: no time of an attempt to connect. A lookup ends by itself, in some ten
 * seconds; the board calls `firmware_run` then. */
bool port_tcp_resolving(void);

/* Drops the connection, or the attempt: at once, without waiting for the other end (RST will do). Nothing of it
 * is told afterwards, and what arrived and was not taken is forgotten. Harmless when there is none. */
void port_tcp_close(void);

/* How many bytes `port_tcp_send` takes now. 0 while there is no connection. A board has a buffer for
 * 1,460 bytes at least, and room for that much when all was acknowledged. When there is more room than
 * before, the board calls `firmware_run`. */
size_t port_tcp_room(void);

/* Takes bytes, never more than `port_tcp_room`, and copies them. They go out at `port_tcp_flush` at the
 * latest: several pieces in one segment. Not delayed (no Nagle). */
void port_tcp_send(const uint8_t *bytes, size_t length);
void port_tcp_flush(void);

/* Whether all that was given to `port_tcp_send` has been acknowledged by the other end's TCP; or there is no connection. */
bool port_tcp_sent(void);

/* --- Serial line, 115200 8N1 --- */

/* May block until there is room in the line's buffer: 128 bytes take 11 ms. */
void port_serial_write(const uint8_t *bytes, size_t length);

/* --- Pins: 0 to 16, without those of the flash, 6 to 11. The firmware never asks for others. --- */

/* Makes the pin an output and sets it. */
void port_gpio_write(unsigned pin, bool high);
/* Its level. A pin that is no output (or was a line) becomes an input with its pull-up first. */
bool port_gpio_read(unsigned pin);
/* Open drain: pulls the pin low, or lets go of it (pull-up on). A pin used so is read by `port_line_read`. */
void port_line(unsigned pin, bool released);
bool port_line_read(unsigned pin);
/* The analogue input, 0 to 1023; 0 if there is none. */
unsigned port_adc_read(void);
/* Makes the pin a PWM output: high for duty/1023 of the time, `hz` times a second, 1 to 1000 (one frequency
 * for all pins: the last one said). Duty 0 and 1023 are steady levels. */
void port_pwm(unsigned pin, unsigned duty, unsigned hz);

#endif
