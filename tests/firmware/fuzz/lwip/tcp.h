/* The part of lwIP's interface that targets/nonos/tcp.c uses; fuzz_tcp.c implements it. */
#ifndef FUZZ_LWIP_TCP_H
#define FUZZ_LWIP_TCP_H

#include <stdint.h>

typedef uint8_t u8_t;
typedef uint16_t u16_t;
typedef int8_t err_t;
typedef struct { uint32_t addr; } ip_addr_t;

enum { ERR_OK = 0, ERR_MEM = -1, ERR_RTE = -4, ERR_INPROGRESS = -5, ERR_ABRT = -8, ERR_USE = -10, ERR_ARG = -12 };
enum tcp_state { CLOSED, SYN_SENT, ESTABLISHED, CLOSE_WAIT };

#define TCP_MSS 1460
#define TCP_SND_BUF (2 * TCP_MSS)
#define TCP_SND_QUEUELEN 8
#define TCP_WRITE_FLAG_COPY 1
#define IP_ADDR_ANY ((ip_addr_t *)0)

extern uint32_t fuzz_window;
#define TCP_WND fuzz_window

struct pbuf {
  struct pbuf *next;
  void *payload;
  u16_t tot_len, len;
};

struct tcp_pcb;
typedef err_t (*tcp_connected_fn)(void *, struct tcp_pcb *, err_t);
typedef err_t (*tcp_recv_fn)(void *, struct tcp_pcb *, struct pbuf *, err_t);
typedef err_t (*tcp_sent_fn)(void *, struct tcp_pcb *, u16_t);
typedef void (*tcp_err_fn)(void *, err_t);

struct tcp_pcb {
  enum tcp_state state;
  u16_t snd_buf, snd_queuelen;
  u8_t no_nagle;
  uint32_t window; /* what the other end may still send */
  tcp_connected_fn connected;
  tcp_recv_fn recv;
  tcp_sent_fn sent;
  tcp_err_fn err;
};

#define tcp_sndbuf(pcb) ((pcb)->snd_buf)
#define tcp_sndqueuelen(pcb) ((pcb)->snd_queuelen)
#define tcp_nagle_disable(pcb) ((pcb)->no_nagle = 1)

struct tcp_pcb *tcp_new(void);
void tcp_arg(struct tcp_pcb *pcb, void *argument);
void tcp_recv(struct tcp_pcb *pcb, tcp_recv_fn function);
void tcp_sent(struct tcp_pcb *pcb, tcp_sent_fn function);
void tcp_err(struct tcp_pcb *pcb, tcp_err_fn function);
err_t tcp_bind(struct tcp_pcb *pcb, ip_addr_t *address, u16_t port);
err_t tcp_connect(struct tcp_pcb *pcb, ip_addr_t *address, u16_t port, tcp_connected_fn function);
err_t tcp_write(struct tcp_pcb *pcb, const void *bytes, u16_t length, u8_t flags);
err_t tcp_output(struct tcp_pcb *pcb);
void tcp_recved(struct tcp_pcb *pcb, u16_t length);
err_t tcp_close(struct tcp_pcb *pcb);
void tcp_abort(struct tcp_pcb *pcb);
void pbuf_free(struct pbuf *piece);

#endif
