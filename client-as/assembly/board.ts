/**
 * What an application and the firmware (or whatever else runs it) owe to each other. An application
 * is one module, compiled together with the core: besides the core's contract, in `core.ts`, this one
 * holds for it. All values are plain i32; addresses are offsets in the module's memory.
 *
 * ## What the host calls
 *
 * Each is optional, and none is called while another runs. After each the host polls the core.
 *
 *     onStart()              once, when the core is booted and before its first `poll`
 *     onMessage(ptr, length) on the event MESSAGE; when it has returned, the host calls `take`. The
 *                            text may be read till then, but not changed
 *     onState(up)            1 when STATE has become UP, 0 when it was UP and no longer is
 *     onTick()               every so many ms as the application has asked for with `every`; if the
 *                            host was busy for longer, once and not several times
 *
 * They must return soon (on a chip, before its watchdog bites): nothing is sent or received meanwhile.
 * A trap in one of them is a bug in the application: the host says so and starts it anew, or ends.
 *
 * ## What the host provides
 *
 * The imports below, of module "board"; only those that an application uses are in its module, and one
 * that the host does not know is a reason to refuse the application. None may call into the module.
 * Whatever the arguments are, an import returns: a pin that the board does not have, or needs itself
 * (on the ESP8266 those of the flash, 6 to 11), is not written and reads as 0.
 */

/** Makes the pin an output, if it is none, and sets it: low for 0, else high. */
// @ts-ignore: decorator
@external("board", "gpio_write")
export declare function gpio_write(pin: i32, value: i32): void;

/** The pin's level, 0 or 1. Makes it an input with the pull-up on, unless `gpio_write` was called for it. */
// @ts-ignore: decorator
@external("board", "gpio_read")
export declare function gpio_read(pin: i32): i32;

/** The analogue input: 0 to 1023, its full scale; 0 if there is none. */
// @ts-ignore: decorator
@external("board", "adc_read")
export declare function adc_read(): i32;

/** Shows UTF-8 to whoever watches the board, as a line: the host adds the newline. May drop it. */
// @ts-ignore: decorator
@external("board", "log")
export declare function log(ptr: usize, length: i32): void;

/** The clock that `poll` is given, in ms; it wraps at 2^32, so compare differences. */
// @ts-ignore: decorator
@external("board", "millis")
export declare function millis(): i32;

/** 32 random bits. */
// @ts-ignore: decorator
@external("board", "random")
export declare function random(): i32;

/** Bytes of memory that the board has left. */
// @ts-ignore: decorator
@external("board", "free_memory")
export declare function free_memory(): i32;

/** From now on `onTick` is called every `ms`, the first time in `ms`. 0 or less: never, as at the start. */
// @ts-ignore: decorator
@external("board", "every")
export declare function every(ms: i32): void;
