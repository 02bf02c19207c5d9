/* An I2C master in software, on any two pins, with clock stretching. */
#ifndef HOLDFAST_I2C_H
#define HOLDFAST_I2C_H

#include <stddef.h>
#include <stdint.h>

#define I2C_NO_DEVICE (-1) /* nobody acknowledged the address */
#define I2C_STUCK (-2)     /* a line stays low: stretched for more than I2C_STRETCH, or held */
#define I2C_STRETCH 20000  /* microseconds */

/* Pins must be ones that the board has. `hz`: 1,000 to 400,000; beyond, the nearest. What software reaches on the
 * chip is less than 400 kHz. */
void i2c_begin(unsigned scl, unsigned sda, uint32_t hz);

/* Bytes acknowledged, or read; or one of the above. */
int i2c_write(unsigned address, const uint8_t *bytes, size_t length);
int i2c_read(unsigned address, uint8_t *bytes, size_t length);

#endif
