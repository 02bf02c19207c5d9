/*
 * A resilient link to a server for a board without a network, through an ESP8266 with Holdfast's firmware: the
 * initiator's side of the wires, for C99 and C++11. One header, no allocation, about 700 bytes of memory.
 *
 * In one source file, define HOLDFAST_I2C_IMPLEMENTATION before including it. The board must have an I2C
 * slave at address 0x12 whose buffers hold 200 bytes (on AVR, enlarge those of Wire and twi), and two pins.
 *
 *     static struct hf_link link;
 *
 *     void setup() {
 *       link.port = my_port;                      // see below
 *       hf_begin(&link, "kitchen", "192.168.1.10", 8123, "ssid", "password", random_number);
 *     }
 *     void loop() {
 *       hf_poll(&link);                           // often: it never blocks for longer than HF_LOOK_MS
 *       if (reading_is_due && hf_write(&link, "21.5", 4, 1) == HF_OK) reading_is_due = 0;
 *     }
 *
 * A line that `hf_write` has accepted is kept, and sent again, until the ESP8266 has it, even if that is reset
 * meanwhile. There is room for one line at a time. Return 0 from `message` to get a message again later.
 */
#ifndef HOLDFAST_I2C_H
#define HOLDFAST_I2C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HF_ADDRESS 0x12   /* the I2C slave's */
#define HF_BUFFER 200     /* bytes of the longest transfer */
#define HF_MOST_TEXT 194  /* bytes of the longest text, either way */
#define HF_LOOK_MS 50     /* `hf_poll` waits at most this long for a wire that is about to change */

enum hf_result {
  HF_OK = 1,
  HF_FULL = 0,      /* the previous line is not sent yet: try again later */
  HF_BAD_TEXT = -1  /* empty, too long, a newline in it, or a first byte of 0 or 1 */
};

/* The board's functions. Each gets `board`. Functions marked "may be 0" can be left out. */
struct hf_port {
  void (*syn)(void *board, int level);   /* sets the output to the ESP8266's GPIO5 */
  int (*ack)(void *board);               /* reads the input from its GPIO4: an input with pull-up */
  void (*reset)(void *board, int level); /* sets its reset pin: 0 resets; may be 0 */
  uint32_t (*ms)(void *board);           /* a clock in ms that may wrap */
  /* The master will read these bytes, which stay valid until the next call of either function. Called before
   * SYN is raised. */
  void (*offer)(void *board, const uint8_t *bytes, uint8_t length);
  /* The master will write this many bytes here. */
  void (*expect)(void *board, uint8_t *bytes, uint8_t length);
  int (*moved)(void *board); /* 1 when all of the bytes have been read, or written */
  /* A message from the server; text[length] is 0. Return 1 if you have it, 0 to get it again. */
  int (*message)(void *board, const char *text, size_t length);
  /* The ESP8266 reports something: 'u', 'd' (the server is up, down), 'b', 's' (no WiFi, no server), 'r' with
   * "[connects,count,free memory]"; may be 0. */
  void (*told)(void *board, char what, const char *text);
  void *board;
};

/* Set only `port`. You may read `failures`. */
struct hf_link {
  struct hf_port port;
  uint32_t failures; /* exchanges that failed */
  /* Private. */
  uint8_t state, sequence, configured, again, may_write, config_length, line_length, in_length;
  uint8_t size[2], config[HF_BUFFER], line[HF_BUFFER], in[HF_BUFFER + 1];
  uint8_t sending_line, held;
  char tag[4];
  uint32_t since, heard;
};

/*
 * Starts: resets the ESP8266 if it can. The strings are not needed afterwards. With an ssid of "" the ESP8266 uses
 * the network that it has stored. `session`: a different number, 1 to 0x7fffffff, at each start of the board.
 * Returns HF_OK, or HF_BAD_TEXT if the configuration has more than 200 bytes.
 */
enum hf_result hf_begin(struct hf_link *link, const char *id, const char *server, uint16_t port,
                        const char *ssid, const char *password, uint32_t session);

/* Goes on as far as it can. Call it every few ms. */
void hf_poll(struct hf_link *link);

/* Accepts a line, without a newline. With qos it arrives once; without, it may be lost. */
enum hf_result hf_write(struct hf_link *link, const char *text, size_t length, int qos);

/* Whether the ESP8266 does not have the last accepted line yet. */
int hf_pending(const struct hf_link *link);

#ifdef __cplusplus
}
#endif

#ifdef HOLDFAST_I2C_IMPLEMENTATION

#define HF_RESET_MS 200
#define HF_SETTLE_MS 1200 /* the ESP8266 gives up an exchange after 1,000 */
#define HF_POLL_MS 10
#define HF_WIRE_MS 1000
#define HF_SILENCE_MS 6000
#define HF_SERVER_TIMEOUT_MS 2000

enum {
  HF_RESETTING,
  HF_SETTLING,
  HF_SYNCHRONISING,
  HF_PAUSE,
  HF_SIZE,      /* sends a size; in each pair: waits for the transfer, and for ACK to rise */
  HF_SIZE_ACK,
  HF_LINE,      /* sends the line */
  HF_LINE_ACK,
  HF_ANSWER_ACK, /* waits for ACK to rise, and for the transfer */
  HF_ANSWER,
  HF_BYTES_ACK,
  HF_BYTES
};

static void hf_enter(struct hf_link *link, int state) {
  link->state = (uint8_t)state;
  link->since = link->port.ms(link->port.board);
}

static uint32_t hf_elapsed(const struct hf_link *link) {
  return link->port.ms(link->port.board) - link->since;
}

static void hf_syn(struct hf_link *link, int level) { link->port.syn(link->port.board, level); }

static int hf_ack(struct hf_link *link) { return link->port.ack(link->port.board); }

static void hf_start_over(struct hf_link *link) {
  int reset = link->port.reset && link->again;
  hf_syn(link, reset);
  if (reset) link->port.reset(link->port.board, 0);
  link->configured = 0;
  hf_enter(link, reset ? HF_RESETTING : HF_SETTLING);
}

/* Often it is enough to synchronise again; after a second failure in a row, resets the ESP8266. */
static void hf_fail(struct hf_link *link) {
  link->failures++;
  link->again = !link->configured;
  hf_start_over(link);
}

/* Waits for ACK to fall, for 1 ms or more. Returns 0 if it does not. */
static int hf_fallen(struct hf_link *link) {
  uint32_t from = link->port.ms(link->port.board);
  while (hf_ack(link)) {
    if (link->port.ms(link->port.board) - from > HF_LOOK_MS) return 0;
  }
  return 1;
}

static void hf_offer(struct hf_link *link, const uint8_t *bytes, uint8_t length, int state) {
  link->port.offer(link->port.board, bytes, length);
  hf_syn(link, 1);
  hf_enter(link, state);
}

static void hf_append_byte(struct hf_link *link, char c) {
  if (link->config_length < HF_BUFFER) link->config[link->config_length] = (uint8_t)c;
  if (link->config_length <= HF_BUFFER) link->config_length++;
}

static void hf_append_string(struct hf_link *link, const char *text) {
  hf_append_byte(link, '"');
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') hf_append_byte(link, '\\');
    hf_append_byte(link, *text);
  }
  hf_append_byte(link, '"');
  hf_append_byte(link, ',');
}

static void hf_append_number(struct hf_link *link, uint32_t value) {
  uint32_t unit = 1;
  while (value / unit > 9) unit *= 10;
  for (; unit; unit /= 10) hf_append_byte(link, (char)('0' + value / unit % 10));
  hf_append_byte(link, ',');
}

enum hf_result hf_begin(struct hf_link *link, const char *id, const char *server, uint16_t port,
                        const char *ssid, const char *password, uint32_t session) {
  static const char end[] = "\"cfg\"]\n";
  const char *c;
  link->config_length = 0;
  hf_append_byte(link, '[');
  hf_append_string(link, id);
  hf_append_number(link, port);
  hf_append_string(link, server);
  hf_append_number(link, HF_SERVER_TIMEOUT_MS);
  hf_append_number(link, 0); /* no reports */
  hf_append_string(link, ssid);
  hf_append_string(link, password);
  hf_append_number(link, 0); /* the dialect that is stored, or 2 */
  hf_append_number(link, session);
  for (c = end; *c; c++) hf_append_byte(link, *c);
  if (link->config_length > HF_BUFFER) return HF_BAD_TEXT;
  link->failures = 0;
  link->line_length = link->sequence = link->held = 0;
  link->tag[0] = 0;
  link->again = 1;
  hf_start_over(link);
  return HF_OK;
}

enum hf_result hf_write(struct hf_link *link, const char *text, size_t length, int qos) {
  size_t i;
  if (length < 1 || length > HF_MOST_TEXT || (uint8_t)text[0] < 2) return HF_BAD_TEXT;
  for (i = 0; i < length; i++) {
    if (text[i] == '\n') return HF_BAD_TEXT;
  }
  if (link->line_length) return HF_FULL;
  link->line[0] = qos ? '7' : '4';
  link->line[1] = (uint8_t)(0x30 + link->sequence); /* so that it counts once however often it is sent */
  link->sequence = (uint8_t)((link->sequence + 1) & 63);
  for (i = 0; i < length; i++) link->line[2 + i] = (uint8_t)text[i];
  link->line[2 + length] = '\n';
  link->line_length = (uint8_t)(length + 3);
  return HF_OK;
}

int hf_pending(const struct hf_link *link) { return link->line_length != 0; }

/* Gives the application the received message. */
static void hf_deliver(struct hf_link *link, char *text, size_t length) {
  struct hf_port *port = &link->port;
  size_t i;
  int again = 1;
  for (i = 0; i < 4; i++) again &= text[i] == link->tag[i];
  link->held = !again && !port->message(port->board, text + 4, length - 4);
  if (link->held) return;
  for (i = 0; i < 4; i++) link->tag[i] = text[i];
}

/* Handles the received lines. A message is the last of them. */
static void hf_take(struct hf_link *link) {
  struct hf_port *port = &link->port;
  size_t from = 0, to;
  for (to = 0; to < link->in_length; to++) {
    char *line = (char *)link->in + from;
    if (link->in[to] != '\n') continue;
    link->in[to] = 0;
    if (*line == 'm' && to - from >= 5) hf_deliver(link, line + 1, to - from - 1);
    else if (*line == 'k') link->heard = port->ms(port->board);
    else if (port->told) port->told(port->board, *line, line + 1);
    if (link->held) {
      link->in[to] = '\n'; /* to be handled again */
      for (to = 0; to + from < link->in_length; to++) link->in[to] = link->in[to + from];
      link->in_length = (uint8_t)to;
      return;
    }
    from = to + 1;
  }
}

static void hf_start_exchange(struct hf_link *link) {
  if (!link->configured) link->sending_line = 1;
  else link->sending_line = (uint8_t)(link->line_length && link->may_write);
  link->size[0] = link->configured ? link->line_length : link->config_length;
  if (!link->sending_line) link->size[0] = 0;
  link->size[1] = link->held ? 0x80 : 0;
  hf_offer(link, link->size, 2, HF_SIZE);
}

/* The bytes sent have arrived. */
static void hf_sent(struct hf_link *link) {
  hf_syn(link, 0);
  if (!hf_fallen(link)) {
    hf_fail(link);
  } else if (link->state == HF_SIZE_ACK && link->sending_line) {
    if (link->configured) hf_offer(link, link->line, link->line_length, HF_LINE);
    else hf_offer(link, link->config, link->config_length, HF_LINE);
  } else {
    if (link->state == HF_LINE_ACK && link->configured) link->line_length = 0;
    if (link->state == HF_LINE_ACK && !link->configured) {
      link->configured = 1;
      link->heard = link->port.ms(link->port.board);
    }
    hf_enter(link, HF_ANSWER_ACK);
  }
}

/* The expected bytes have arrived. */
static void hf_received(struct hf_link *link) {
  int length = link->size[0] | (link->size[1] & 0x7f) << 8;
  int was = link->state;
  if (!hf_fallen(link) || length > HF_BUFFER) {
    hf_fail(link);
    return;
  }
  hf_syn(link, 0);
  hf_enter(link, HF_PAUSE);
  if (was == HF_ANSWER) {
    link->may_write = !(link->size[1] & 0x80);
    link->in_length = link->held ? link->in_length : (uint8_t)length;
    if (length) hf_enter(link, HF_BYTES_ACK);
  } else {
    hf_take(link);
  }
}

void hf_poll(struct hf_link *link) {
  struct hf_port *port = &link->port;
  uint32_t elapsed = hf_elapsed(link);
  switch (link->state) {
    case HF_RESETTING:
      if (elapsed < HF_RESET_MS) return;
      port->reset(port->board, 1);
      hf_syn(link, 0);
      hf_enter(link, HF_SETTLING);
      return;
    case HF_SETTLING:
      if (elapsed < HF_SETTLE_MS) return;
      hf_enter(link, HF_SYNCHRONISING);
      return;
    case HF_SYNCHRONISING:
      if (!hf_ack(link)) {
        link->may_write = 1;
        hf_enter(link, HF_PAUSE);
      } else if (elapsed > 5 * HF_WIRE_MS) hf_fail(link);
      return;
    case HF_PAUSE:
      if (link->held) hf_take(link);
      if (elapsed < HF_POLL_MS) return;
      if (link->configured && port->ms(port->board) - link->heard > HF_SILENCE_MS) hf_fail(link);
      else hf_start_exchange(link);
      return;
    case HF_SIZE:
    case HF_LINE:
      if (port->moved(port->board)) hf_enter(link, link->state + 1);
      else if (elapsed > HF_WIRE_MS) hf_fail(link);
      return;
    case HF_SIZE_ACK:
    case HF_LINE_ACK:
      if (hf_ack(link)) hf_sent(link);
      else if (elapsed > HF_WIRE_MS) hf_fail(link);
      return;
    case HF_ANSWER_ACK:
    case HF_BYTES_ACK:
      if (hf_ack(link)) {
        if (link->state == HF_ANSWER_ACK) port->expect(port->board, link->size, 2);
        else port->expect(port->board, link->in, link->in_length);
        hf_syn(link, 1);
        hf_enter(link, link->state + 1);
      } else if (elapsed > HF_WIRE_MS) hf_fail(link);
      return;
    default: /* HF_ANSWER, HF_BYTES */
      if (port->moved(port->board)) hf_received(link);
      else if (elapsed > HF_WIRE_MS) hf_fail(link);
  }
}

#endif
#endif
