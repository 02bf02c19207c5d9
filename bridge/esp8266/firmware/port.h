/*
 * The interface between the firmware and a board.
 *
 * The firmware (everything in this folder) does not depend on a chip, an SDK or an operating system. A board is a
 * program that implements the `port_` functions below and calls the `firmware_` ones. It has three tasks:
 *
 *   1. call `firmware_start` once, when all `port_` functions work;
 *   2. call `firmware_run` right after that, after every event, and when the time that it returned has
 *      passed;
 *   3. report events: WiFi, TCP, serial input.
 *
 * Everything happens in one thread: a board calls a `firmware_` function only when no other is running,
 * and never from within a `port_` function or an interrupt. (A callback that may come at such a time
 * sets a flag, and the event is reported later.) No `port_` function calls the firmware. None blocks for longer
 * than about a millisecond, unless its comment says so.
 *
 * Addresses in flash count from the start of the chip's flash. Text is UTF-8 without a final NUL
 * unless it is a `const char *` without a length. Data from the firmware may be in memory that can be read only in
 * words (words.h): copy them before you pass them to other code.
 */
#ifndef HOLDFAST_PORT_H
#define HOLDFAST_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- The firmware, for the board to call -------------------------------------------------------- */

/* Starts: prints its banner, reads settings and application from flash, and compiles the application.
 * Needs 4 KB of stack, and about a second on a chip. */
void firmware_start(void);

/* Does everything that is due. Returns the ms after which it must be called again at the latest, 0 to 60,000;
 * 0: at once, but after the network had its turn. */
uint32_t firmware_run(void);

enum firmware_wifi {
  WIFI_UP,          /* associated, with an IP address */
  WIFI_LOST,        /* was up or associated, and is not any more; or the address is lost */
  WIFI_NOT_FOUND,   /* no access point with that name */
  WIFI_WRONG_PASSWORD, /* also for other reports of access points, if it is the most likely reason */
  WIFI_REFUSED,     /* not admitted for any other reason */
  WIFI_NO_DHCP,     /* admitted, but DHCP gave no address */
  WIFI_ASSOCIATED   /* admitted; the address, or the proof of the password, is still missing */
};

/* The state of WiFi has changed since `port_wifi_join`. A board may go on trying by itself after any of
 * the failures, and may report the same one again; the firmware leaves and joins again when that takes
 * too long. Do not report that it is down because of `port_wifi_leave`. */
void firmware_wifi(enum firmware_wifi state);

/* The connection requested with `port_tcp_open` is established. */
void firmware_tcp_opened(void);

/* It could not be established, or has ended (closed by the other end, reset, timed out). Report it once, and never
 * after `port_tcp_close`. Report bytes that had arrived before first. */
void firmware_tcp_closed(void);

/* The same, because no address was found for the name. */
void firmware_tcp_no_address(void);

/* Bytes have arrived. Returns how many were taken, 0 to `length`. The board keeps the rest, takes no more
 * from the network meanwhile (TCP's window slows the sender down), and offers the rest again after each
 * `firmware_run`. The bytes are not needed after the call. They must not be in flash; any alignment is fine.
 * The firmware may call `port_tcp_close` during this call, and then `port_tcp_open`: then ignore the result, drop
 * the rest of the bytes, and report only bytes of the new connection. */
size_t firmware_tcp_received(const uint8_t *bytes, size_t length);

/* Bytes have arrived on the serial line, any number of them. */
void firmware_serial(const uint8_t *bytes, size_t length);

/* ---- The board, for the firmware to call -------------------------------------------------------- */

/* Name of the board, without spaces: "nonos". */
extern const char port_board[];

/* A clock in ms that never stops and wraps at 2^32, and one in microseconds that wraps at 2^32. */
uint32_t port_ms(void);
uint32_t port_us(void);

/* Busy-waits, 1 to 1,000 us. For I2C. */
void port_delay_us(uint32_t us);

/* 32 random bits that nobody can guess, for nonces and keys. */
uint32_t port_random(void);

/* Memory for the application, in one piece aligned to 8: as much as the board can spare, at least `least` and at most
 * `most` bytes, which are multiples of 8. *length: its bytes. Returns 0, with a length of 0, if there is no such piece.
 * The memory of an earlier call is freed first, so (0, 0) only frees it. Called only in `firmware_start`; the firmware
 * allocates no other memory. */
void *port_memory(size_t least, size_t most, size_t *length);

/* Bytes of free heap. */
uint32_t port_free_heap(void);

/* --- Resets --- */

enum port_reset { RESET_POWER_ON, RESET_EXTERNAL, RESET_SOFTWARE, RESET_WATCHDOG, RESET_EXCEPTION, RESET_WAKE };

/* Why the chip started. A reset by the watchdog of 20 s must be reported as RESET_WATCHDOG, however the board
 * implements it (if by a software reset, with a note in memory that survives). */
enum port_reset port_reset_reason(void);

/* After RESET_EXCEPTION: the processor's number of the cause, the address of the instruction, and the address that it
 * accessed. False: the board does not know. */
struct port_crash {
  uint32_t cause, instruction, address;
};
bool port_crash(struct port_crash *crash);

/* Resets the chip (RESET_SOFTWARE). Does not return. Sends all bytes of `port_serial_write` first. */
void port_restart(void) __attribute__((noreturn));

/* Must be called every 20 s, or the chip is reset. Only the firmware calls it, when there is progress: a board must
 * not feed this watchdog by itself, nor any hardware watchdog for longer than this. The first 20 s start before
 * `firmware_start`. */
void port_feed_watchdog(void);

/* RTC memory: words that survive any reset but a loss of power, and are random after that. The first 16 are the
 * firmware's, with a checksum; then come the application's, 384 bytes, and those that describe a sleep.
 * `first` + `count` <= PORT_KEPT_WORDS. */
#define PORT_KEPT_OWN 16
#define PORT_KEPT_APPLICATION 96
#define PORT_KEPT_SLEEP 15
#define PORT_KEPT_WORDS (PORT_KEPT_OWN + PORT_KEPT_APPLICATION + PORT_KEPT_SLEEP)
void port_kept_read(unsigned first, uint32_t *words, unsigned count);
void port_kept_write(unsigned first, const uint32_t *words, unsigned count);

/* Deep sleep for this many ms, 1 to PORT_MOST_SLEEP; then the chip starts, with RESET_WAKE. Sends all bytes of
 * `port_serial_write` first. Closes a connection so that the other end is told, if that takes no time. */
#define PORT_MOST_SLEEP 9000000u /* the ESP8266's slow clock counts at least 5 us, in 32 bits compared as signed */
void port_sleep(uint32_t ms) __attribute__((noreturn));

/* --- Flash --- */

/* The address in memory of a part of the flash's first MB. It can be read only in aligned 32-bit words. */
const void *port_flash_map(uint32_t address);

/* Read, erase a sector of 4 KB, write. Address and length are multiples of 4 (erase: address of 4,096); words are
 * aligned. Each may take some 100 ms. False: it failed. Writing only clears bits. */
bool port_flash_read(uint32_t address, uint32_t *words, size_t length);
bool port_flash_erase(uint32_t address);
bool port_flash_write(uint32_t address, const uint32_t *words, size_t length);

/* --- WiFi --- */

/* The access point and address of a join, in whole words, as it may be in memory that can only be written in words. */
struct port_lease {
  uint32_t ip[4];           /* as in struct port_wifi; the first is 0: unknown */
  uint32_t access_point[2]; /* BSSID (six bytes), channel (one byte), a zero byte */
  uint32_t seconds;         /* DHCP's lease time; 0: the address is not DHCP's */
};

struct port_wifi {
  const char *ssid;
  const char *password; /* "": an open network */
  const char *country;  /* two letters; "": unknown, so it only listens on channels that some countries do not allow */
  const uint32_t *ip;   /* as in the settings: address, netmask, gateway, DNS; the first is 0: DHCP */
  const struct port_lease *known; /* 0; or the only access point to try, and the address to use instead of DHCP */
};

/* Joins a network (station, power saving off), also a hidden one: of several access points with that name, the
 * strongest. Texts are NUL-terminated; nothing is needed after the call. Does not write to flash. Called only when WiFi
 * is off: at the start, or after `port_wifi_leave`. */
void port_wifi_join(const struct port_wifi *wifi);

/* Leaves the network, or stops joining; the radio stays ready for the next join. */
void port_wifi_leave(void);

/* The access point and address of the WiFi that is up. False: unknown. */
bool port_wifi_lease(struct port_lease *lease);

/* The board's address, a.b.c.d as the bytes of a word from the lowest (network byte order in memory); 0: none. */
uint32_t port_wifi_ip(void);

/* Scans for networks; at the end, calls `found` for each, then once with ssid 0. `found` is called as
 * an event, that is, after this has returned. `rssi` in dBm. False: not now. */
bool port_wifi_scan(void (*found)(const char *ssid, int rssi, bool locked));

/* --- TCP: one connection --- */

/* Starts to connect to `host`, a name or an IPv4 address, NUL-terminated and not needed after the call. Called
 * only while there is no connection and WiFi is up. The answer is `firmware_tcp_opened`, `_closed` or `_no_address`.
 * The board keeps the address of a name for repeated attempts, even if they alternate with another name, and looks it
 * up again in parallel. */
void port_tcp_open(const char *host, uint16_t port);

/* Whether that name is still being looked up, which does not count as time of the attempt. A lookup ends by itself, in
 * some ten seconds; then the board calls `firmware_run`. */
bool port_tcp_resolving(void);

/* Drops the connection or the attempt at once, without waiting for the other end (an RST is fine). Nothing about it
 * is reported afterwards, and bytes that were not taken are dropped. Does nothing if there is no connection. */
void port_tcp_close(void);

/* How many bytes `port_tcp_send` takes now; 0 while there is no connection. A board has a buffer for at least
 * 1,460 bytes, and room for that much when everything is acknowledged. When there is more room than before, the
 * board calls `firmware_run`. */
size_t port_tcp_room(void);

/* Copies bytes, never more than `port_tcp_room`. They are sent at `port_tcp_flush` at the latest, several pieces in
 * one segment, without delay (no Nagle). */
void port_tcp_send(const uint8_t *bytes, size_t length);
void port_tcp_flush(void);

/* Whether the other end's TCP has acknowledged all bytes of `port_tcp_send`, or there is no connection. */
bool port_tcp_sent(void);

/* --- Serial line, 115200 8N1 --- */

/* May block until there is room in the line's buffer: 128 bytes take 11 ms. */
void port_serial_write(const uint8_t *bytes, size_t length);

/* --- Pins: 0 to 16, without 6 to 11, which are the flash's. The firmware never uses others. --- */

/* Makes the pin an output and sets it. */
void port_gpio_write(unsigned pin, bool high);
/* The pin's level. A pin that is not an output becomes an input with pull-up first; so does a former line. */
bool port_gpio_read(unsigned pin);
/* Open drain: pulls the pin low, or releases it (pull-up on). Read such a pin with `port_line_read`. */
void port_line(unsigned pin, bool released);
bool port_line_read(unsigned pin);
/* The analogue input, 0 to 1023; 0 if there is none. */
unsigned port_adc_read(void);
/* Makes the pin a PWM output: high for duty/1023 of the time, with 1 to 1000 Hz (the last call sets the frequency of
 * all pins). Duty 0 and 1023 are steady levels. */
void port_pwm(unsigned pin, unsigned duty, unsigned hz);

#endif
