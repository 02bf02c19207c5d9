/* The firmware's version. */
#ifndef HOLDFAST_VERSION_H
#define HOLDFAST_VERSION_H

#ifndef FIRMWARE_VERSION
#define FIRMWARE_VERSION "0.0.0" /* the builder takes it from deno.json */
#endif

/* Whether the hello of dialect 2 tells why the device started, and what it runs. */
#ifndef HELLO_METADATA
#define HELLO_METADATA 1
#endif

/* The words for enum port_reset, in its order. */
extern const char *const reset_words[];

#endif
