/* The serial line: UART 0, 115200 8N1. */
#include "sdk.h"

#include "osapi.h"
#include "user_interface.h"

#include "parts.h"
#include "port.h"
#include "task.h"
#include "words.h"

#define BAUD 115200

/* The registers of UART 0, from the vendor's technical reference. */
#define FIFO 0x60000000
#define INTERRUPT_STATUS 0x60000008
#define INTERRUPT_ENABLE 0x6000000C
#define INTERRUPT_CLEAR 0x60000010
#define STATUS 0x6000001C
#define CONFIGURATION_0 0x60000020
#define CONFIGURATION_1 0x60000024

#define RECEIVED_ENOUGH BIT(0)
#define RECEIVED_TOO_MUCH BIT(4)
#define RECEIVED_AND_SILENT BIT(8)

#define FIFO_BYTES 128

/* Between the interrupt and the loop, for 22 ms of the line. */
static uint32_t ring[256 / 4] IN_WORDS;
static volatile uint8_t ring_in, ring_out; /* they wrap at the ring's end */

static IN_IRAM void on_interrupt(void *unused) {
  (void)unused;
  uint32_t status = READ_PERI_REG(INTERRUPT_STATUS);
  while (READ_PERI_REG(STATUS) & 0xFF) {
    uint8_t byte = READ_PERI_REG(FIFO);
    /* Without room the byte is lost: an incomplete frame is not answered, and sent again. */
    if ((uint8_t)(ring_in + 1) == ring_out) continue;
    words_put(ring, ring_in, byte);
    ring_in = ring_in + 1;
  }
  WRITE_PERI_REG(INTERRUPT_CLEAR, status);
  task_wake();
}

void serial_begin(void) {
  PIN_FUNC_SELECT(PERIPHS_IO_MUX_U0TXD_U, FUNC_U0TXD);
  uart_div_modify(0, UART_CLK_FREQ / BAUD);
  WRITE_PERI_REG(CONFIGURATION_0, 3 << 2 | 1 << 4); /* 8 bits, no parity, 1 stop bit */
  /* An interrupt when the FIFO has 64 bytes, or has fewer and got none for the time of two bytes. */
  WRITE_PERI_REG(CONFIGURATION_1, BIT(31) | 2 << 24 | 64);
  ets_isr_attach(ETS_UART_INUM, on_interrupt, 0);
  WRITE_PERI_REG(INTERRUPT_CLEAR, 0x1FF);
  WRITE_PERI_REG(INTERRUPT_ENABLE, RECEIVED_ENOUGH | RECEIVED_TOO_MUCH | RECEIVED_AND_SILENT);
  ETS_UART_INTR_ENABLE();
}

void serial_tell(void) {
  while (ring_out != ring_in) {
    uint8_t in = ring_in, out = ring_out;
    size_t length = in > out ? (size_t)(in - out) : sizeof ring - out;
    firmware_serial((const uint8_t *)ring + out, length);
    ring_out = out + length;
  }
}

static unsigned sending(void) {
  return READ_PERI_REG(STATUS) >> 16 & 0xFF;
}

void port_serial_write(const uint8_t *bytes, size_t length) {
  while (length--) {
    while (sending() >= FIFO_BYTES - 2) {}
    WRITE_PERI_REG(FIFO, *bytes++);
  }
}

void serial_drain(void) {
  while (sending()) {}
  os_delay_us(1000000 / BAUD * 12); /* the last byte has left the FIFO, but not the chip */
}
