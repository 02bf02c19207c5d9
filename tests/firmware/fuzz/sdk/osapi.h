/* As much of the chip's registers as targets/nonos uses; fuzz_pins.c and fuzz_serial.c are behind them. */
#ifndef FUZZ_SDK_OSAPI_H
#define FUZZ_SDK_OSAPI_H

#include <stdint.h>

uint32_t fuzz_read(uint32_t address);
void fuzz_write(uint32_t address, uint32_t value);

#define READ_PERI_REG(address) fuzz_read(address)
#define WRITE_PERI_REG(address, value) fuzz_write((address), (value))

/* Multiplexers: one a pin, by its number. */
enum { FUZZ_MUX = 0x1000 };
#define PERIPHS_IO_MUX_GPIO0_U (FUZZ_MUX + 0)
#define PERIPHS_IO_MUX_U0TXD_U (FUZZ_MUX + 1)
#define PERIPHS_IO_MUX_GPIO2_U (FUZZ_MUX + 2)
#define PERIPHS_IO_MUX_U0RXD_U (FUZZ_MUX + 3)
#define PERIPHS_IO_MUX_GPIO4_U (FUZZ_MUX + 4)
#define PERIPHS_IO_MUX_GPIO5_U (FUZZ_MUX + 5)
#define PERIPHS_IO_MUX_SD_CLK_U (FUZZ_MUX + 6)
#define PERIPHS_IO_MUX_SD_DATA0_U (FUZZ_MUX + 7)
#define PERIPHS_IO_MUX_SD_DATA1_U (FUZZ_MUX + 8)
#define PERIPHS_IO_MUX_SD_DATA2_U (FUZZ_MUX + 9)
#define PERIPHS_IO_MUX_SD_DATA3_U (FUZZ_MUX + 10)
#define PERIPHS_IO_MUX_SD_CMD_U (FUZZ_MUX + 11)
#define PERIPHS_IO_MUX_MTDI_U (FUZZ_MUX + 12)
#define PERIPHS_IO_MUX_MTCK_U (FUZZ_MUX + 13)
#define PERIPHS_IO_MUX_MTMS_U (FUZZ_MUX + 14)
#define PERIPHS_IO_MUX_MTDO_U (FUZZ_MUX + 15)
void fuzz_select(uint32_t mux, unsigned function);
void fuzz_pull_up(uint32_t mux, int on);
#define PIN_FUNC_SELECT(mux, function) fuzz_select((mux), (function))
#define PIN_PULLUP_EN(mux) fuzz_pull_up((mux), 1)
#define PIN_PULLUP_DIS(mux) fuzz_pull_up((mux), 0)

enum { FUZZ_GPIO = 0x2000 };
#define GPIO_REG_READ(offset) fuzz_read(FUZZ_GPIO + (offset))
#define GPIO_REG_WRITE(offset, value) fuzz_write(FUZZ_GPIO + (offset), (value))
#define GPIO_OUT_W1TS_ADDRESS 0x04
#define GPIO_OUT_W1TC_ADDRESS 0x08
#define GPIO_ENABLE_W1TS_ADDRESS 0x10
#define GPIO_ENABLE_W1TC_ADDRESS 0x14
#define GPIO_IN_ADDRESS 0x18
#define GPIO_PIN0_ADDRESS 0x28
#define GPIO_PIN_ADDR(pin) (GPIO_PIN0_ADDRESS + (pin) * 4)
#define GPIO_PIN_PAD_DRIVER_MASK 4u
#define GPIO_PIN_PAD_DRIVER_SET(on) ((on) << 2)

#define PAD_XPD_DCDC_CONF 0x3000
#define RTC_GPIO_CONF 0x3004
#define RTC_GPIO_ENABLE 0x3008
#define RTC_GPIO_OUT 0x300c
#define RTC_GPIO_IN_DATA 0x3010

#define FRC1_LOAD_ADDRESS 0x00
#define FRC1_CTRL_ADDRESS 0x08
#define RTC_REG_WRITE(offset, value) fuzz_write(0x4000 + (offset), (value))
#define TM1_EDGE_INT_ENABLE()
#define ETS_FRC_TIMER1_INUM 9
#define ETS_FRC1_INTR_ENABLE()
#define ETS_FRC1_INTR_DISABLE()
#define FUNC_U0TXD 0
#define UART_CLK_FREQ 80000000
#define ETS_UART_INUM 5
#define ETS_UART_INTR_ENABLE()
void uart_div_modify(int uart, int divisor);
void ets_isr_attach(int number, void (*function)(void *), void *argument);

#endif
