/*
 * One TCP connection, directly on lwIP: the SDK's espconn copies all received bytes without a check whether there is
 * memory, and ends a connection some time later. Here bytes that the firmware has not taken fill a buffer of exactly
 * TCP's window, so the sender must wait.
 */
#include "sdk.h"

#include "lwip/tcp.h"

#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/netif.h"

#include "bytes.h"
#include "crc32.h"
#include "parts.h"
#include "port.h"
#include "task.h"
#include "words.h"

/* Local ports, which no server uses. Each connection has a random one: after a reset, the server's end of the old
 * connection would answer on the old port. */
#define FIRST_PORT 49152
#define PORTS 16384

/* As in the settings. */
#define MOST_HOST 64

/* lwIP limits the pieces that it holds, and a write makes up to two. */
#define MOST_PIECES (TCP_SND_QUEUELEN - 2)

static struct tcp_pcb *pcb; /* requested, or established */
static bool is_open;
static bool opened_news; /* must be reported */
static bool ended;       /* by the other end, or for lack of memory; reported when all bytes are taken */
static uint16_t port;
static uintptr_t attempt; /* its number: DNS answers for earlier attempts may come late */
static bool resolving;   /* this attempt waits for DNS */
static bool no_address;  /* it has ended because the name has no address */

/* Addresses of the last two names. */
struct known {
  uint32_t name; /* the name's checksum */
  ip_addr_t address;
  bool is_known;
};
static struct known known[2];
static struct known *now_known = known; /* for this attempt's name */

/* A ring buffer of received bytes that were not taken, as large as the window. */
static uint32_t received[TCP_MSS / 4] IN_WORDS;
static size_t received_at, received_length;

static void put_received(uint8_t byte) {
  words_put(received, (received_at + received_length++) % sizeof received, byte);
}

static void end(void) {
  ended = true;
  task_wake();
}

/* Drops the connection; no further callback of it is handled. */
static void forget(void) {
  attempt++;
  if (pcb) {
    struct tcp_pcb *old = pcb;
    pcb = 0;
    tcp_arg(old, 0);
    tcp_recv(old, 0);
    tcp_sent(old, 0);
    tcp_err(old, 0);
    /* Before its first packet it is in a list from which only closing removes it. */
    if (old->state == CLOSED) tcp_close(old);
    else tcp_abort(old);
  }
  is_open = opened_news = ended = resolving = no_address = false;
  received_length = 0;
}

/* ---- lwIP's callbacks ---- */

static err_t on_connected(void *unused, struct tcp_pcb *which, err_t error) {
  (void)unused, (void)which, (void)error;
  is_open = opened_news = true;
  task_wake();
  return ERR_OK;
}

static void on_error(void *unused, err_t error) {
  (void)unused, (void)error;
  pcb = 0; /* lwIP has freed it */
  is_open = false;
  end();
}

static err_t on_received(void *unused, struct tcp_pcb *which, struct pbuf *piece, err_t error) {
  (void)unused, (void)which, (void)error;
  if (!piece) {
    end();
    return ERR_OK;
  }
  /* More than the window: lwIP keeps it, and offers it again. */
  if (piece->tot_len > sizeof received - received_length) return ERR_MEM;
  for (const struct pbuf *part = piece; part; part = part->next) {
    const uint8_t *bytes = part->payload;
    for (size_t i = 0; i < part->len; i++) put_received(bytes[i]);
  }
  pbuf_free(piece);
  task_wake();
  return ERR_OK;
}

static err_t on_sent(void *unused, struct tcp_pcb *which, u16_t length) {
  (void)unused, (void)which, (void)length;
  task_wake();
  return ERR_OK;
}

/* ---- For the loop ---- */

bool tcp_offer(void) {
  bool took = false;
  while (received_length) {
    size_t piece = sizeof received - received_at;
    if (piece > received_length) piece = received_length;
    uintptr_t before = attempt;
    size_t taken = firmware_tcp_received((const uint8_t *)received + received_at, piece);
    if (attempt != before) return true; /* the firmware has closed this connection: the bytes are dropped */
    if (taken == 0) break;
    took = true;
    received_at = (received_at + taken) % sizeof received;
    received_length -= taken;
    if (pcb) tcp_recved(pcb, taken);
  }
  return took;
}

void tcp_tell(void) {
  if (opened_news) {
    opened_news = false;
    firmware_tcp_opened();
  }
  tcp_offer();
  if (ended && received_length == 0) {
    bool was_unknown = no_address;
    forget();
    if (was_unknown) firmware_tcp_no_address();
    else firmware_tcp_closed();
  }
}

/* ---- For the firmware ---- */

static void connect(ip_addr_t *address) {
  TCP_WND = sizeof received;
  pcb = tcp_new();
  if (!pcb) return end();
  tcp_arg(pcb, 0);
  tcp_recv(pcb, on_received);
  tcp_sent(pcb, on_sent);
  tcp_err(pcb, on_error);
  tcp_nagle_disable(pcb);
  /* If the port is in use, lwIP chooses another one. */
  tcp_bind(pcb, IP_ADDR_ANY, FIRST_PORT + port_random() % PORTS);
  if (tcp_connect(pcb, address, port, on_connected) != ERR_OK) end();
}

static void found(struct known *which, const ip_addr_t *address) {
  which->address = *address;
  which->is_known = true;
}

static void has_no_address(void) {
  no_address = true;
  end();
}

static void on_address(const char *name, ip_addr_t *address, void *which) {
  /* A late answer can be used for the next attempt. */
  uint32_t sum = crc32(0, name, text_length(name));
  for (unsigned i = 0; i < 2; i++) {
    if (address && known[i].name == sum) found(known + i, address);
  }
  if ((uintptr_t)which != attempt || !resolving) return;
  resolving = false;
  if (!address) return has_no_address();
  connect(&now_known->address);
  task_wake(); /* the time of the attempt begins */
}

uint32_t tcp_dns(void) {
  return dns_getserver(0).addr;
}

uint32_t tcp_lease(void) {
  const struct dhcp *dhcp = netif_default ? netif_default->dhcp : 0;
  return dhcp && dhcp->state ? dhcp->offered_t0_lease : 0; /* state 0: it is off */
}

void tcp_use_dns(uint32_t address) {
  ip_addr_t server = { address };
  dns_setserver(0, &server);
}

void port_tcp_open(const char *host, uint16_t to_port) {
  forget();
  port = to_port;
  received_at = 0;
  char name[MOST_HOST + 1]; /* lwIP reads bytes, and keeps a copy */
  size_t length = text_length(host);
  if (length > MOST_HOST) return end();
  bytes_copy(name, host, length + 1);
  ip_addr_t address;
  uint32_t sum = crc32(0, name, length);
  if (now_known->name != sum) now_known = known + (now_known == known); /* uses the other entry */
  if (now_known->name != sum) *now_known = (struct known){ .name = sum };
  err_t error = dns_gethostbyname(name, &address, on_address, (void *)attempt);
  if (error == ERR_OK) found(now_known, &address);
  if (now_known->is_known) connect(&now_known->address); /* if it has changed, the answer serves the next attempt */
  else if (error == ERR_INPROGRESS) resolving = true;
  else has_no_address();
}

bool port_tcp_resolving(void) {
  return resolving;
}

void port_tcp_close(void) {
  forget();
}

size_t port_tcp_room(void) {
  return is_open && !ended && tcp_sndqueuelen(pcb) <= MOST_PIECES ? tcp_sndbuf(pcb) : 0;
}

void port_tcp_send(const uint8_t *bytes, size_t length) {
  if (!is_open || ended) return;
  /* lwIP copies them into a segment of full size, which the next bytes share. If there is no memory for that, the
   * connection ends, so that no bytes are left out. */
  if (tcp_write(pcb, bytes, length, TCP_WRITE_FLAG_COPY) != ERR_OK) end();
}

void port_tcp_flush(void) {
  if (is_open && !ended) tcp_output(pcb);
}

bool port_tcp_sent(void) {
  return !is_open || ended || !tcp_sndqueuelen(pcb);
}

void tcp_finish(void) {
  if (is_open && !ended) tcp_close(pcb);
}
