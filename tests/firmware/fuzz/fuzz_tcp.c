/*
 * libFuzzer: the chip's connection (targets/nonos/tcp.c) between a firmware and a network that do anything allowed, in
 * any order. Ends the program when one of port.h's promises is broken.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "input.h"

#include "lwip/tcp.h"

#include "lwip/dns.h"

#include "parts.h"
#include "port.h"
#include "task.h"

/* ---- The network ---- */

uint32_t fuzz_window;
static struct tcp_pcb *pcb; /* the only one alive, or 0 */
static unsigned alive;
static bool fail_memory; /* the next allocation fails */
static bool fin_sent;
static uint8_t sent_value; /* each arriving byte is the previous one plus 1 */
static size_t arrived, acknowledged;
static bool woken;

void task_wake(void) { woken = true; }

/* Two names of a server, with different addresses. */
static const char *const names[] = {"server", "other"};
static const uint32_t addresses[] = {1, 11};
static unsigned wanted; /* the name of the attempt */

struct query {
  unsigned name;
  dns_found_callback found;
  void *argument;
};
static struct query queries[8];
static unsigned query_count;

err_t dns_gethostbyname(const char *name, ip_addr_t *address, dns_found_callback found, void *argument) {
  if (name[0] == '-') return ERR_ARG;
  require(strcmp(name, names[wanted]) == 0);
  unsigned kind = next() % 4;
  if (kind == 0) {
    address->addr = addresses[wanted];
    return ERR_OK;
  }
  if (kind == 1 || query_count == 8) return ERR_ARG;
  queries[query_count++] = (struct query){wanted, found, argument};
  return ERR_INPROGRESS;
}

void dns_setserver(u8_t number, ip_addr_t *server) { require(number == 0 && server->addr); }
ip_addr_t dns_getserver(u8_t number) { return (ip_addr_t){number}; }
struct netif *netif_default;

static void answer_query(void) {
  if (!query_count) return;
  unsigned which = next() % query_count;
  struct query query = queries[which];
  queries[which] = queries[--query_count];
  ip_addr_t address = {addresses[query.name] + 1};
  query.found(names[query.name], next() % 3 ? &address : 0, query.argument);
}

struct tcp_pcb *tcp_new(void) {
  if (fail_memory) return fail_memory = false, (struct tcp_pcb *)0;
  require(alive == 0); /* only one connection: the previous one has been ended */
  pcb = calloc(1, sizeof *pcb);
  pcb->snd_buf = TCP_SND_BUF;
  pcb->window = fuzz_window;
  alive++;
  fin_sent = false;
  arrived = acknowledged = 0;
  return pcb;
}

static void release(struct tcp_pcb *which) {
  require(which == pcb && alive == 1);
  alive--;
  pcb = 0;
  free(which);
}

void tcp_arg(struct tcp_pcb *which, void *argument) { (void)which, (void)argument; }
void tcp_recv(struct tcp_pcb *which, tcp_recv_fn function) { which->recv = function; }
void tcp_sent(struct tcp_pcb *which, tcp_sent_fn function) { which->sent = function; }
void tcp_err(struct tcp_pcb *which, tcp_err_fn function) { which->err = function; }

err_t tcp_bind(struct tcp_pcb *which, ip_addr_t *address, u16_t port) {
  require(which == pcb && address == 0 && port >= 49152);
  return next() % 8 ? ERR_OK : ERR_USE;
}

err_t tcp_connect(struct tcp_pcb *which, ip_addr_t *address, u16_t port, tcp_connected_fn function) {
  require(which == pcb && port == 8123 && which->no_nagle && which->recv && which->err);
  require(address->addr - addresses[wanted] <= 1); /* not the other name's address */
  if (next() % 4 == 0) return ERR_RTE;
  which->connected = function;
  which->state = SYN_SENT;
  return ERR_OK;
}

err_t tcp_write(struct tcp_pcb *which, const void *bytes, u16_t length, u8_t flags) {
  require(which == pcb && which->state >= ESTABLISHED && flags == TCP_WRITE_FLAG_COPY);
  require(length <= which->snd_buf && which->snd_queuelen <= TCP_SND_QUEUELEN - 2);
  if (fail_memory) return fail_memory = false, ERR_MEM;
  for (unsigned i = 0; i < length; i++) require(((const uint8_t *)bytes)[i] == 0); /* all of it must be readable */
  which->snd_buf -= length;
  which->snd_queuelen += 1 + next() % 2;
  return ERR_OK;
}

err_t tcp_output(struct tcp_pcb *which) {
  require(which == pcb && which->state >= ESTABLISHED);
  return ERR_OK;
}

void tcp_recved(struct tcp_pcb *which, u16_t length) {
  require(which == pcb);
  acknowledged += length;
  require(acknowledged <= arrived);
  which->window += length;
}

err_t tcp_close(struct tcp_pcb *which) {
  require(which->state == CLOSED);
  release(which);
  return ERR_OK;
}

void tcp_abort(struct tcp_pcb *which) {
  require(which->state != CLOSED);
  tcp_err_fn function = which->err;
  release(which);
  if (function) function(0, ERR_ABRT); /* as lwIP does */
}

void pbuf_free(struct pbuf *piece) {
  while (piece) {
    struct pbuf *following = piece->next;
    free(piece->payload);
    free(piece);
    piece = following;
  }
}

/* Bytes in pieces of up to `most`. */
static struct pbuf *make_pieces(size_t length, size_t most) {
  size_t size = length < most ? length : most;
  struct pbuf *piece = malloc(sizeof *piece);
  *piece = (struct pbuf){0, malloc(size), (u16_t)length, (u16_t)size};
  for (size_t i = 0; i < size; i++) ((uint8_t *)piece->payload)[i] = sent_value++;
  if (length > size) piece->next = make_pieces(length - size, most);
  return piece;
}

static void arrive(void) {
  if (!pcb || pcb->state != ESTABLISHED || fin_sent) return;
  size_t length = 1 + next() * 8;
  bool beyond = next() % 16 == 0; /* a sender that does not keep to the window */
  if (length > pcb->window && !beyond) length = pcb->window;
  if (length == 0) return;
  uint8_t before = sent_value;
  bool fits = length <= pcb->window;
  struct pbuf *pieces = make_pieces(length, 1 + next() * 4);
  woken = false;
  err_t error = pcb->recv(0, pcb, pieces, ERR_OK);
  require(error == (fits ? ERR_OK : ERR_MEM));
  if (error == ERR_OK) {
    require(woken);
    arrived += length;
    pcb->window -= length;
  } else {
    sent_value = before; /* it will be sent again */
    pbuf_free(pieces);
  }
}

/* ---- The firmware ---- */

static bool asked, opened, closed;
static uint8_t expected;
static size_t taken, appetite;
static bool inside; /* only one call at a time */

void firmware_tcp_no_address(void) {
  require(!inside && asked && !opened && !closed && alive == 0 && !port_tcp_resolving());
  closed = true;
  asked = false;
}

void firmware_tcp_opened(void) {
  require(!inside && asked && !opened && !closed);
  opened = true;
}

void firmware_tcp_closed(void) {
  require(!inside && asked && !closed);
  require(!opened || taken == arrived); /* all of it must have been handed over before */
  closed = true;
  asked = false;
  require(port_tcp_room() == 0);
}

static void open_connection(void);
static void close_connection(void);
static unsigned ends_inside; /* its reaction to bytes: 1 closes the connection, 2 also opens another one */

size_t firmware_tcp_received(const uint8_t *bytes, size_t length) {
  require(asked && opened && !closed && length > 0);
  size_t n = length < appetite ? length : appetite;
  for (size_t i = 0; i < n; i++) require(bytes[i] == expected++);
  if (ends_inside) {
    close_connection();
    if (ends_inside == 2) open_connection();
    ends_inside = 0;
    return next() * 8 % (length + 1); /* it means nothing any more */
  }
  appetite -= n;
  taken += n;
  return n;
}

static void open_connection(void) {
  if (asked) return;
  opened = closed = false;
  asked = true;
  taken = 0;
  inside = true;
  char *host = strdup(names[wanted]);
  port_tcp_open(host, 8123);
  memset(host, 'x', strlen(host));
  free(host);
  inside = false;
  expected = sent_value;
}

static void close_connection(void) {
  inside = true;
  port_tcp_close();
  inside = false;
  asked = false;
  require(alive == 0 && port_tcp_room() == 0);
}

static void send_bytes(void) {
  size_t room = port_tcp_room();
  require(room <= TCP_SND_BUF && (room == 0 || (pcb && opened)));
  size_t length = 1 + next() * 12;
  if (length > room) length = room;
  if (!length) return;
  inside = true;
  uint8_t *bytes = calloc(1, length);
  port_tcp_send(bytes, length);
  free(bytes);
  if (next() % 2) port_tcp_flush();
  inside = false;
}

uint32_t port_random(void) { return next() * 0x01010101u; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  for (unsigned i = 0; i < 2; i++) { /* forget the lookups of the previous run */
    port_tcp_open(i ? "-a" : "-b", 1);
    port_tcp_close();
  }
  input = data;
  left = size;
  query_count = 0;
  asked = opened = closed = fail_memory = false;
  ends_inside = wanted = 0;
  expected = sent_value;
  arrived = taken = 0;
  while (left) {
    require(!port_tcp_resolving() || (asked && !alive && query_count));
    unsigned what = next();
    switch (what % 13) {
      case 0:
        if (!asked) wanted = what / 13 % 2;
        open_connection();
        break;
      case 1: answer_query(); break;
      case 2:
        if (pcb && pcb->state == SYN_SENT) {
          pcb->state = ESTABLISHED;
          require(pcb->connected(0, pcb, ERR_OK) == ERR_OK);
        }
        break;
      case 3:
      case 4: arrive(); break;
      case 5:
        if (pcb && pcb->state == ESTABLISHED && !fin_sent) {
          fin_sent = true;
          require(pcb->recv(0, pcb, 0, ERR_OK) == ERR_OK);
        }
        break;
      case 6:
        if (pcb && pcb->state != CLOSED) { /* reset by the other end */
          tcp_err_fn function = pcb->err;
          release(pcb);
          function(0, ERR_ABRT);
        }
        break;
      case 7:
        if (pcb && pcb->snd_queuelen) {
          u16_t length = TCP_SND_BUF - pcb->snd_buf;
          pcb->snd_buf = TCP_SND_BUF;
          pcb->snd_queuelen = 0;
          pcb->sent(0, pcb, length);
        }
        break;
      case 8: appetite = next() * 16; break;
      case 9:
        tcp_tell();
        if (opened && !closed) send_bytes();
        tcp_offer();
        break;
      case 10: close_connection(); break;
      case 11: fail_memory = next() % 2; break;
      case 12: ends_inside = next() % 3; break;
    }
  }
  /* Everything that has arrived must be handed over, and then the end. */
  ends_inside = 0;
  appetite = SIZE_MAX;
  tcp_tell();
  tcp_tell();
  require(!asked || !opened || taken == arrived);
  close_connection();
  return 0;
}
