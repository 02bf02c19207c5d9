/**
 * The contract between an application and the firmware, or whatever else runs it. An application is
 * one module, compiled together with the core, so the core's contract in `core.ts` holds for it too.
 * All values are plain i32; addresses are offsets in the module's memory.
 *
 * ## What the host calls
 *
 * Each is optional, and none is called while another runs. After each the host polls the core.
 *
 *     onStart()              when the core is booted and before its first `poll`: once, and again
 *                            after each `configure`
 *     canReceive()           before each `poll`: 0 if that `poll` must not offer a message. An application
 *                            without it can always receive
 *     onMessage(ptr, length) on the event MESSAGE; when it has returned, the host calls `take`. The
 *                            text may be read until then, but not changed. It may return a number: if
 *                            that is 0, the host does not call `take`, and the message will be offered
 *                            again. Use this with `canReceive`, or every `poll` offers it again
 *     onState(up)            1 when STATE has become UP, 0 when it was UP and no longer is
 *     onTrial()              in an application that was deployed over the link: once, when the link has been
 *                            up for 30 s. If it returns 0, the board goes back to the previous one
 *     onTick()               at the interval that the application has set with `every`; if the host was
 *                            busy for several intervals, only once
 *
 * They must return soon (on a chip, before its watchdog bites): nothing is sent or received meanwhile.
 * A trap in one of them is a bug in the application: the host reports it and starts the application again, or ends.
 *
 * ## What the host provides
 *
 * The imports below, of module "board". A module imports only those that it uses. A host refuses an
 * application with an import that it does not know. None may call into the module.
 * No argument makes an import trap: a pin that the board does not have, or needs itself (on the
 * ESP8266 those of the flash, 6 to 11), is not written and reads as 0. An import that takes a pointer
 * and a length does nothing if they are not inside the memory, and returns the value for failure.
 *
 * An application that imports `configure` decides when, where and as which device to connect: the
 * host polls the core only after a call of `configure`, whatever the settings say.
 */

/** Makes the pin an output if it is not one, and sets it: low for 0, high for anything else. */
// @ts-ignore: decorator
@external("board", "gpio_write")
export declare function gpio_write(pin: i32, value: i32): void;

/** The pin's level, 0 or 1. Makes it an input with the pull-up on, unless `gpio_write` was called for it. */
// @ts-ignore: decorator
@external("board", "gpio_read")
export declare function gpio_read(pin: i32): i32;

/**
 * Makes the pin an output that is high for `duty` / 1023 of the time, `hz` times a second, until the next
 * `pwm_write`, `gpio_write` or `i2c_begin` for it. `duty` 0 and 1023 are steady levels; values below
 * or above count as these. `hz` is 1 to 1000; all pins share the last one given. If it is out of range, or the board does
 * not have the pin, nothing happens. GPIO16 of the ESP8266 has no PWM: it is high if `duty` is 512 or more, else low.
 */
// @ts-ignore: decorator
@external("board", "pwm_write")
export declare function pwm_write(pin: i32, duty: i32, hz: i32): void;

/** The analogue input: 0 to 1023, its full scale; 0 if there is none. */
// @ts-ignore: decorator
@external("board", "adc_read")
export declare function adc_read(): i32;

/** Shows a line of UTF-8 on the board's console: the host adds the newline, and may drop the line. */
// @ts-ignore: decorator
@external("board", "log")
export declare function log(ptr: usize, length: i32): void;

/** The clock that `poll` is given, in ms. It wraps at 2^32, so compare differences. */
// @ts-ignore: decorator
@external("board", "millis")
export declare function millis(): i32;

/** 32 random bits. */
// @ts-ignore: decorator
@external("board", "random")
export declare function random(): i32;

/** Bytes of free memory on the board. */
// @ts-ignore: decorator
@external("board", "free_memory")
export declare function free_memory(): i32;

/** From now on `onTick` is called every `ms`, for the first time after `ms`. 0 or less: never, as at the start. */
// @ts-ignore: decorator
@external("board", "every")
export declare function every(ms: i32): void;

// I2C: the board is the bus master, in software, on any two of its pins, with their pull-ups on.

/** Every transfer returns the number of bytes, or one of these. */
export const I2C_NO_DEVICE: i32 = -1; // the address was not acknowledged; nothing was transferred
export const I2C_STUCK: i32 = -2; // a line is held low: SCL for 20 ms, or for 100 ms in all of one transfer
export const I2C_BAD: i32 = -3; // `i2c_begin` was not called, or an argument is out of range

/**
 * Begins a bus on two pins, open drain with pull-ups: releases both, and frees SDA from a device that holds it.
 * `hz` is the highest clock rate, 1,000 to 400,000. Call it again to use another bus, or to free this one.
 */
// @ts-ignore: decorator
@external("board", "i2c_begin")
export declare function i2c_begin(scl: i32, sda: i32, hz: i32): void;

/**
 * Writes 1 to 255 bytes to the device at a 7-bit address. Returns how many bytes were acknowledged: `length` if all
 * is well. Returns within 150 ms.
 */
// @ts-ignore: decorator
@external("board", "i2c_write")
export declare function i2c_write(address: i32, ptr: usize, length: i32): i32;

/** Reads 1 to 255 bytes from the device at a 7-bit address: all of them, or it fails. Returns within 150 ms. */
// @ts-ignore: decorator
@external("board", "i2c_read")
export declare function i2c_read(address: i32, ptr: usize, length: i32): i32;

// For applications that bring their own settings.

/**
 * Uses these settings from now on, without storing them: fields as in the settings sector, each a tag, a
 * length and this many bytes of value. Settings that are not given are as stored; but an ssid without a password
 * is an open network. Tag 10 exists only here: longest text of a message, u16 little-endian, 121 to 512. When the call
 * to the application has returned, the host joins the WiFi if it has changed, boots the core again, and calls
 * `onStart`. Returns 1; or 0, and nothing is changed, if a field is malformed, out of range or given twice, or if
 * server or id is neither given nor stored.
 */
// @ts-ignore: decorator
@external("board", "configure")
export declare function configure(ptr: usize, length: i32): i32;

/** State of the WiFi: 0 off, 1 joining, 2 up, 3 failed and trying again. */
// @ts-ignore: decorator
@external("board", "wifi")
export declare function wifi(): i32;

/** Resets the board when the call to the application has returned. */
// @ts-ignore: decorator
@external("board", "restart")
export declare function restart(): void;

// Deep sleep.

/**
 * Lets the board sleep for this many ms, as soon as the link is drained: every message is acknowledged, and the
 * server knows for how long the board is away. Until then everything goes on as before. Messages that cannot be
 * delivered within 10 s, or before the WiFi has failed, wait in RTC memory (384 bytes, less the bytes that the
 * application has used with `keep`). They are delivered when there is a network after one of the next sleeps.
 *
 * Returns 1; or 0, and the board stays awake, for 0 ms or less, or if the messages that wait now do not fit there. If
 * more is sent before the board sleeps, it stays awake until all of it fits. In dialect 1 no message can wait there:
 * the board sleeps when all are acknowledged. Of several calls the last one counts.
 *
 * Applications call `sleep` of `sleep.ts`, which knows about deadlines.
 *
 * After the sleep the board starts as after a reset, with `onStart`; `millis` has gone on. An ESP8266 is woken by its
 * GPIO16, which must be wired to its reset pin. Range: 1 to 2,147,483,647.
 */
// @ts-ignore: decorator
@external("board", "sleep")
export declare function deep_sleep(ms: i32): i32;

/** Returns 1 if the board has just slept and the messages that waited are still there, 0 after any other start. */
// @ts-ignore: decorator
@external("board", "woke")
export declare function woke(): i32;

// RTC memory: it survives a reset of the board, but not a loss of power.

/** Bytes of RTC memory that belong to the application. */
export const KEPT: i32 = 384;

/**
 * Writes to RTC memory, from offset `at`; all three arguments are multiples of 4. Returns 1; or 0, and nothing is
 * written, beyond the end or if the board has no such memory.
 */
// @ts-ignore: decorator
@external("board", "keep")
export declare function keep(at: i32, ptr: usize, length: i32): i32;

/**
 * Reads from RTC memory. Returns 1; or 0 as above. After a loss of power, or after another application has run, its
 * contents are undefined: store a mark and a checksum with them.
 */
// @ts-ignore: decorator
@external("board", "kept")
export declare function kept(at: i32, ptr: usize, length: i32): i32;
