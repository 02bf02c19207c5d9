/*
 * The wires between an initiator and a responder, as a library for the tests: SYN, ACK, reset and the I2C bus of
 * bus.c with the firmware's own I2C driver as its master. The responder calls the `testbed_` functions
 * below from the test's process. The initiator runs in that process, too, or in another one: then commands over TCP are
 * its pins and its I2C slave, and it blocks in them as a Pyboard does.
 *
 * Commands, each with an answer:  'p' pin level -> 0       'g' pin -> level
 *                                 's' n bytes[n] -> outcome 'r' n -> outcome bytes[n]
 * and for an I2C slave that works by itself:
 *                                 'a' n bytes[n] -> 0       'b' n -> 0     'o' n -> outcome bytes[n]
 * Pins: 0 SYN (the initiator's), 1 ACK, 2 reset (low resets the responder's board).
 *
 * Long because both ends of the wires are here: they share the wires' levels, and a lock.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "../../bridge/esp8266/targets/emulator/pins.h"
#include "bus.h"

enum { SYN, ACK, RESET };
/* GPIO numbers on the responder. */
enum { GPIO_SCL = 0, GPIO_SDA = 2, GPIO_ACK = 4, GPIO_SYN = 5 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static pthread_t thread;
static int listener = -1, peer = -1, closing;
static struct bus bus;
static struct i2c i2c;
static struct i2c_lines lines;
static int levels[3] = {1, 1, 1};
static int stuck[3] = {-1, -1, -1}; /* a wire's level that nothing changes */
static int resets;
static uint32_t latency_us; /* longest time between an initiator's pin and its I2C */
static uint32_t random_state = 1;
static char *trace;
static size_t trace_used, trace_size;
static struct timespec opened;

/*
 * A Pyboard that waits for ACK reads it about every 10 us, a responder reads SYN every 2 ms, a process here whenever it
 * runs. So an eye stores the levels that each would have seen: the initiator since it began to wait, which is since its
 * last other command, the responder since its last transfer.
 */
enum { MOST_LEVELS = 64 };
struct eye {
  int wire;
  int64_t shortest_ns; /* a level that lasts so long is certainly seen */
  uint8_t seen[MOST_LEVELS];
  int first, count;
  struct timespec since; /* when the wire got its present level */
};
static struct eye initiator_eye = {.wire = ACK, .shortest_ns = 100000};
static struct eye responder_eye = {.wire = SYN, .shortest_ns = 5000000};
static int inside; /* the initiator is in this process */

static int level(int wire) { return stuck[wire] >= 0 ? stuck[wire] : levels[wire]; }

static void note(const char *what, const uint8_t *bytes, size_t length, int value) {
  size_t i;
  struct timespec now;
  if (trace_used + 2 * length + 48 > trace_size) return;
  clock_gettime(CLOCK_MONOTONIC, &now);
  trace_used += (size_t)sprintf(trace + trace_used, "%ld ",
                                (long)(now.tv_sec - opened.tv_sec) * 1000 + (now.tv_nsec - opened.tv_nsec) / 1000000);
  trace_used += (size_t)sprintf(trace + trace_used, "%s ", what);
  if (value >= 0) trace_used += (size_t)sprintf(trace + trace_used, "%d", value);
  for (i = 0; i < length; i++) trace_used += (size_t)sprintf(trace + trace_used, "%02x", bytes[i]);
  trace_used += (size_t)sprintf(trace + trace_used, "\n");
}

/* Changes the wire: its old level goes to the eye if it lasted long enough and somebody `looks`. */
static void change(struct eye *eye, int value, int looks) {
  struct timespec now;
  int64_t lasted;
  if (levels[eye->wire] == value) return;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lasted = (now.tv_sec - eye->since.tv_sec) * (int64_t)1000000000 + now.tv_nsec - eye->since.tv_nsec;
  if (lasted >= eye->shortest_ns && looks) {
    if (eye->count == MOST_LEVELS) eye->first++, eye->count--;
    eye->seen[(eye->first + eye->count++) % MOST_LEVELS] = (uint8_t)levels[eye->wire];
  }
  eye->since = now;
  levels[eye->wire] = value;
}

/* The level that is seen: the oldest one stored, if any. */
static int look(struct eye *eye) {
  if (!eye->count || stuck[eye->wire] >= 0) return level(eye->wire);
  eye->count--;
  return eye->seen[eye->first++ % MOST_LEVELS];
}

static void set_ack(int value) { change(&initiator_eye, value, peer >= 0 || inside); }

static void set(int wire, int value) {
  if (wire == RESET && levels[RESET] && !value) resets++;
  if (wire == SYN && levels[SYN] != value) note("syn", NULL, 0, value);
  if (wire == SYN) change(&responder_eye, value, 1);
  else levels[wire] = value;
}

/* The initiator has disconnected, or its board is reset: it drives no wire. */
static void let_go(void) {
  pthread_mutex_lock(&lock);
  change(&responder_eye, 1, 1);
  levels[RESET] = 1;
  bus_disarm(&bus);
  pthread_mutex_unlock(&lock);
}

static int all(int fd, void *bytes, size_t length, int out) {
  char *at = bytes;
  while (length) {
    ssize_t n = out ? send(fd, at, length, MSG_NOSIGNAL) : recv(fd, at, length, 0);
    if (n <= 0) return 0;
    at += n;
    length -= (size_t)n;
  }
  return 1;
}

static void pause_a_little(void) {
  struct timespec time = {0, 0};
  random_state = random_state * 1664525u + 1013904223u;
  if (!latency_us) return;
  time.tv_nsec = (long)(random_state % latency_us) * 1000;
  nanosleep(&time, NULL);
}

/* The slave of the other process waits for the master. */
static int await_master(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 5; /* as a Pyboard does */
  while (bus.outcome == PENDING && !closing) {
    if (pthread_cond_timedwait(&moved, &lock, &until) == ETIMEDOUT) break;
  }
  bus_disarm(&bus);
  return bus.outcome == COMPLETE;
}

static int serve(int fd) {
  uint8_t in[256], out[256];
  size_t length = 1;
  uint8_t command;
  int last_ack = -1;
  while (all(fd, &command, 1, 0)) {
    if (!all(fd, in, command == 'p' ? 2 : 1, 0)) return 0;
    if ((command == 's' || command == 'a') && !all(fd, in + 1, in[0], 0)) return 0;
    if (command == 's' || command == 'r') pause_a_little();
    length = 1;
    pthread_mutex_lock(&lock);
    if (command == 'p') {
      set(in[0] % 3, in[1]);
      out[0] = 0;
    } else if (command == 'g') {
      out[0] = (uint8_t)(in[0] == ACK ? look(&initiator_eye) : level(in[0] % 3));
      if (in[0] == ACK && out[0] != last_ack) note("ack", NULL, 0, last_ack = out[0]);
    } else if (command == 's') {
      bus_send(&bus, in + 1, in[0]);
      out[0] = (uint8_t)await_master();
      note(out[0] ? "send" : "send-failed", in + 1, in[0], -1);
    } else if (command == 'a') {
      bus_send(&bus, in + 1, in[0]);
      out[0] = 0;
    } else if (command == 'b') {
      bus_receive(&bus, in[0]);
      out[0] = 0;
    } else if (command == 'o') {
      out[0] = (uint8_t)bus.outcome;
      memcpy(out + 1, bus.bytes, in[0]);
      length += in[0];
    } else {
      bus_receive(&bus, in[0]);
      out[0] = (uint8_t)await_master();
      note(out[0] ? "recv" : "recv-failed", bus.bytes, bus.done, -1);
      memcpy(out + 1, bus.bytes, in[0]);
      length += in[0];
    }
    if (command != 'g' && command != 'o') initiator_eye.count = 0;
    pthread_mutex_unlock(&lock);
    if (!all(fd, out, length, 1)) return 0;
  }
  return 0;
}

static void *run(void *unused) {
  (void)unused;
  for (;;) {
    int one = 1, fd = accept(listener, NULL, NULL);
    if (fd < 0) return NULL;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pthread_mutex_lock(&lock);
    peer = fd;
    pthread_mutex_unlock(&lock);
    serve(fd);
    pthread_mutex_lock(&lock);
    peer = -1;
    pthread_mutex_unlock(&lock);
    close(fd);
    let_go();
  }
}

/* Starts again. Returns the port for an initiator in another process, or -1. */
int testbed_open(uint32_t most_latency_us, uint32_t seed) {
  struct sockaddr_in address = {0};
  socklen_t size = sizeof address;
  bus_open(&bus, 0x12, &lines);
  i2c_open(&i2c, &lines, 400000);
  latency_us = most_latency_us;
  random_state = seed;
  levels[SYN] = levels[ACK] = levels[RESET] = 1;
  stuck[SYN] = stuck[ACK] = stuck[RESET] = -1;
  resets = closing = initiator_eye.count = responder_eye.count = inside = 0;
  trace_used = 0;
  clock_gettime(CLOCK_MONOTONIC, &opened);
  if (!trace) trace = malloc(trace_size = 1 << 22);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1)) return -1;
  getsockname(listener, (struct sockaddr *)&address, &size);
  if (pthread_create(&thread, NULL, run, NULL)) return -1;
  return ntohs(address.sin_port);
}

static void close_pins(void);

void testbed_close(void) {
  pthread_mutex_lock(&lock);
  closing = 1;
  pthread_cond_broadcast(&moved);
  if (peer >= 0) shutdown(peer, SHUT_RDWR);
  pthread_mutex_unlock(&lock);
  shutdown(listener, SHUT_RDWR);
  pthread_join(thread, NULL);
  close_pins();
  close(listener);
  free(trace);
  trace = NULL;
}

/* What the initiator did and saw, with times in ms, as text without a NUL. Returns its length. */
int testbed_trace(char *to, uint32_t size) {
  int length;
  pthread_mutex_lock(&lock);
  length = (int)(trace_used < size ? trace_used : size);
  memcpy(to, trace, (size_t)length);
  pthread_mutex_unlock(&lock);
  return length;
}

/* ---- The responder's board. ---- */

int testbed_gpio_read(int pin) {
  int result;
  pthread_mutex_lock(&lock);
  result = pin == GPIO_SYN ? look(&responder_eye) : pin == GPIO_ACK ? level(ACK) : 1;
  pthread_mutex_unlock(&lock);
  return result;
}

void testbed_gpio_write(int pin, int value) {
  pthread_mutex_lock(&lock);
  if (pin == GPIO_ACK) set_ack(value);
  pthread_mutex_unlock(&lock);
}

void testbed_i2c_begin(uint32_t hz) {
  pthread_mutex_lock(&lock);
  i2c_open(&i2c, &lines, hz);
  pthread_mutex_unlock(&lock);
}

int testbed_i2c_write(int address, const uint8_t *bytes, uint32_t length) {
  int result;
  pthread_mutex_lock(&lock);
  responder_eye.count = 0;
  result = i2c_send(&i2c, (uint8_t)address, bytes, length);
  pthread_cond_broadcast(&moved);
  pthread_mutex_unlock(&lock);
  return result;
}

int testbed_i2c_read(int address, uint8_t *bytes, uint32_t length) {
  int result;
  pthread_mutex_lock(&lock);
  responder_eye.count = 0;
  result = i2c_receive(&i2c, (uint8_t)address, bytes, length);
  pthread_cond_broadcast(&moved);
  pthread_mutex_unlock(&lock);
  return result;
}

/* ---- A board that is an emulated chip, with a driver of its own: its pins, over a pair of FIFOs. ---- */

static int pins_from = -1, pins_to = -1;
static pthread_t pins_thread;

static void obey(uint8_t command) {
  int pin = command & 31, what = command >> 5;
  uint8_t seen = 1;
  bus.now_us++;
  if (what != PIN_READ) {
    if (pin == GPIO_ACK) set_ack(what == PIN_HIGH);
    if (pin == GPIO_SDA && what == PIN_LINE_LOW && lines.scl_level(lines.board)) responder_eye.count = 0; /* a START */
    if (pin == GPIO_SCL) lines.scl(lines.board, what == PIN_LINE_RELEASED);
    if (pin == GPIO_SDA) lines.sda(lines.board, what == PIN_LINE_RELEASED);
    if (bus.outcome != PENDING) pthread_cond_broadcast(&moved);
    return;
  }
  if (pin == GPIO_SYN) seen = (uint8_t)look(&responder_eye);
  if (pin == GPIO_SCL) seen = (uint8_t)lines.scl_level(lines.board);
  if (pin == GPIO_SDA) seen = (uint8_t)lines.sda_level(lines.board);
  if (write(pins_to, &seen, 1) != 1) abort(); /* there is room: the chip waits for this byte */
}

static void *run_pins(void *unused) {
  struct pollfd any = {pins_from, POLLIN, 0};
  (void)unused;
  while (poll(&any, 1, -1) >= 0) {
    uint8_t commands[64];
    ssize_t i, n;
    pthread_mutex_lock(&lock);
    n = closing ? -1 : read(pins_from, commands, sizeof commands);
    for (i = 0; i < n; i++) obey(commands[i]);
    pthread_mutex_unlock(&lock);
    if (n < 0 && (closing || errno != EAGAIN)) break;
  }
  return NULL;
}

/* Makes the FIFOs PATH.from and PATH.to, and obeys their commands. Returns 0, or -1. */
int testbed_pins(const char *path) {
  char name[256];
  int *const ends[2] = {&pins_from, &pins_to};
  int i;
  for (i = 0; i < 2; i++) {
    snprintf(name, sizeof name, "%s.%s", path, i ? "to" : "from");
    /* Open for reading and writing, so that it never ends: one chip after the other writes to it. */
    if (mkfifo(name, 0600) || (*ends[i] = open(name, O_RDWR | O_NONBLOCK)) < 0) return -1;
  }
  return pthread_create(&pins_thread, NULL, run_pins, NULL) ? -1 : 0;
}

static void close_pins(void) {
  uint8_t any = 0;
  if (pins_from < 0) return;
  if (write(pins_from, &any, 1) != 1) abort(); /* wakes the thread */
  pthread_join(pins_thread, NULL);
  close(pins_from);
  close(pins_to);
  pins_from = pins_to = -1;
}

/* Drops the last commands of a chip that is off now, and answers that it did not read. */
static void empty_pins(void) {
  uint8_t rest[64];
  while (pins_from >= 0 && read(pins_from, rest, sizeof rest) > 0) {}
  while (pins_to >= 0 && read(pins_to, rest, sizeof rest) > 0) {}
}

/* The board is off, or held in reset: it drives no wire. */
void testbed_board_off(void) {
  pthread_mutex_lock(&lock);
  empty_pins();
  set_ack(1);
  responder_eye.count = 0;
  lines.sda(lines.board, 1);
  lines.scl(lines.board, 1);
  pthread_mutex_unlock(&lock);
}

/* Bit 0: level of the reset wire; the bits above: how often it has fallen. */
int testbed_reset(void) {
  int result;
  pthread_mutex_lock(&lock);
  result = level(RESET) | resets << 1;
  pthread_mutex_unlock(&lock);
  return result;
}

/* ---- An initiator in this process. ---- */

void testbed_set(int wire, int value) {
  pthread_mutex_lock(&lock);
  set(wire, value);
  inside = 1;
  initiator_eye.count = 0;
  pthread_mutex_unlock(&lock);
}

int testbed_get(int wire) {
  int result;
  pthread_mutex_lock(&lock);
  result = wire == ACK ? look(&initiator_eye) : level(wire);
  pthread_mutex_unlock(&lock);
  return result;
}

void testbed_slave_send(const uint8_t *bytes, uint32_t length) {
  pthread_mutex_lock(&lock);
  bus_send(&bus, bytes, length);
  initiator_eye.count = 0;
  pthread_mutex_unlock(&lock);
}

void testbed_slave_receive(uint32_t length) {
  pthread_mutex_lock(&lock);
  bus_receive(&bus, length);
  initiator_eye.count = 0;
  pthread_mutex_unlock(&lock);
}

/* The outcome: 0 pending, 1 complete (the bytes are copied), 2 cut off. */
int testbed_slave_outcome(uint8_t *bytes, uint32_t length) {
  int result;
  pthread_mutex_lock(&lock);
  result = bus.outcome;
  if (result == COMPLETE) memcpy(bytes, bus.bytes, length);
  pthread_mutex_unlock(&lock);
  return result;
}

void testbed_slave_stop(void) {
  pthread_mutex_lock(&lock);
  bus_disarm(&bus);
  pthread_mutex_unlock(&lock);
}

/* ---- Faults. ---- */

/* Makes a wire stick at a level; -1 repairs it. 3: SCL, 4: SDA, which can only be stuck low. */
void testbed_stick(int wire, int value) {
  pthread_mutex_lock(&lock);
  if (wire == 3) bus.hold_scl = value == 0;
  else if (wire == 4) bus.hold_sda = value == 0;
  else stuck[wire] = value;
  pthread_mutex_unlock(&lock);
}

void testbed_stretch(uint32_t us) {
  pthread_mutex_lock(&lock);
  bus.stretch_us = us;
  pthread_mutex_unlock(&lock);
}
