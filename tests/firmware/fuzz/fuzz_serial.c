/*
 * libFuzzer: the chip's serial line (targets/nonos/serial.c) in front of its registers. Bytes arrive at any pace, also
 * while the firmware handles others: it must get them all, in order, unless it lets 255 of them wait. Its output must
 * go out in order, and never more of it than fits into the FIFO.
 */
#include <stdint.h>
#include <string.h>

#include "input.h"

/* Included here, so that its state can be reset before each input. */
#include "serial.c"

#define TRANSMITTER_MUX 0x60000818
#define DEPTH 128 /* of both FIFOs */
#define WAITING 255 /* bytes that the firmware may leave waiting */

/* ---- The UART ---- */

static uint8_t receiving[DEPTH];
static unsigned received, to_send;
static uint32_t raised, enabled, threshold; /* interrupts */
static void (*handler)(void *);
static bool in_interrupt, woken;

/* Bytes due to the firmware: it was given `told` of them, and has finished `done`. And the bytes sent. */
static uint8_t due[1 << 17];
static unsigned due_count, told, done;
static uint8_t sent[4096];
static unsigned sent_count;
static uint8_t next_byte;
static bool in_firmware;

static void interrupt(void) {
  if (in_interrupt || !(raised & enabled)) return;
  bool some = received > 0;
  in_interrupt = true;
  woken = false;
  handler(0);
  in_interrupt = false;
  /* Otherwise it would be raised again at once, for ever. */
  require(!received && !(raised & enabled));
  require(woken || !some);
}

/* Receives bytes, followed by a silence or not. */
static void arrive(unsigned count, bool silence) {
  while (count--) {
    uint8_t byte = next_byte++;
    if (received == DEPTH) raised |= RECEIVED_TOO_MUCH; /* and it is lost */
    else receiving[received++] = byte;
    if (received >= threshold) raised |= RECEIVED_ENOUGH;
    if (next() & 1) interrupt(); /* it may be delayed */
  }
  if (!silence) return interrupt();
  if (received) raised |= RECEIVED_AND_SILENT;
  interrupt();
  require(!received); /* even if they were few */
}

uint32_t fuzz_read(uint32_t address) {
  switch (address) {
    case FIFO: {
      require(in_interrupt && received);
      uint8_t byte = receiving[0];
      memmove(receiving, receiving + 1, --received);
      if (due_count - done < WAITING) require(due_count < sizeof due), due[due_count++] = byte;
      return byte;
    }
    case INTERRUPT_STATUS: return raised & enabled;
    case STATUS: {
      uint32_t status = to_send << 16 | received;
      if (in_interrupt) return status;
      /* Time passes. */
      unsigned gone = left ? next() % 3 : 1;
      to_send -= gone < to_send ? gone : to_send;
      if (left) arrive(next() % 4, next() & 1);
      return status;
    }
    case TRANSMITTER_MUX: return 0x4a | 3 << 4; /* not the line's function */
  }
  abort();
}

void fuzz_write(uint32_t address, uint32_t value) {
  switch (address) {
    case FIFO:
      require(to_send < DEPTH && value < 256 && sent_count < sizeof sent);
      to_send++;
      sent[sent_count++] = (uint8_t)value;
      return;
    case TRANSMITTER_MUX: require(value == 0x4a); return; /* function 0; the other bits as they were */
    case INTERRUPT_CLEAR: raised &= ~value; return;
    case INTERRUPT_ENABLE: enabled = value; return;
    case CONFIGURATION_0: require(value == 0x1c); return; /* 8 bits, no parity, 1 stop bit */
    case CONFIGURATION_1:
      threshold = value & 0x7f;
      require(threshold && value >> 31 && (value >> 24 & 0x7f)); /* fewer bytes must be reported, too, after a silence */
      return;
  }
  abort();
}

void uart_div_modify(int uart, int divisor) { require(uart == 0 && divisor == 80000000 / 115200); }
void ets_isr_attach(int number, void (*function)(void *), void *argument) {
  require(number == ETS_UART_INUM && !argument);
  handler = function;
}
void os_delay_us(uint32_t us) { require(to_send == 0 && us >= 10 * 1000000 / 115200); } /* a byte has 10 bits */

void task_wake(void) { woken = true; }

/* ---- The firmware ---- */

void firmware_serial(const uint8_t *bytes, size_t length) {
  require(length > 0 && length <= due_count - told && !in_firmware);
  done = told;
  require(!memcmp(bytes, due + told, length));
  told += length;
  in_firmware = true;
  if (left && next() % 2) arrive(next() % 100, next() & 1); /* in the middle of it */
  require(!memcmp(bytes, due + told - length, length)); /* they must stay unchanged until it returns */
  in_firmware = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input = data;
  left = size;
  ring_in = ring_out = 0;
  received = to_send = raised = enabled = due_count = told = done = sent_count = 0;
  next_byte = 0;
  serial_begin();
  while (left) {
    switch (next() % 4) {
      case 0: arrive(next(), next() & 1); break;
      case 1:
        serial_tell();
        require(told == due_count);
        due_count = told = done = 0;
        break;
      case 2: {
        uint8_t text[255];
        unsigned length = next(), before = sent_count;
        if (sent_count + length > sizeof sent) break;
        for (unsigned i = 0; i < length; i++) text[i] = (uint8_t)(next() + i);
        port_serial_write(text, length);
        require(sent_count == before + length && !memcmp(sent + before, text, length));
        break;
      }
      case 3:
        serial_drain();
        require(to_send == 0);
        break;
    }
  }
  return 0;
}
