/*
 * Calls of the emulator, and the frames to and from the program on the host: type, length (16 bits), payload. They are
 * written to file descriptor 1 and read from 0; emulator/frames.ts is the other end.
 */
#ifndef EMULATOR_FRAMES_H
#define EMULATOR_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CALL_EXIT = 1, CALL_READ = 3, CALL_WRITE = 4, CALL_OPEN = 5, CALL_SELECT = 29 };

/* Calls the emulator: start.S. */
extern int simcall(int number, int a, int b, int c);

/* Ends the emulator, as the program is finished or the host is gone. Does not return. */
void leave(int code) __attribute__((noreturn));

/* Sends a frame; it is buffered until `flush`, or until the buffer is full. */
void frame(char type, const void *payload, size_t length);

/* The same in pieces, which have `length` bytes together. */
void frame_start(char type, size_t length);
void put(const void *bytes, size_t length);

void flush(void);

/* Drops the bytes that were not flushed. */
void drop_output(void);

#define MOST_PAYLOAD 4200
/* Received frames that were not dropped yet, in their order. */
extern uint8_t input[2 * (3 + MOST_PAYLOAD)];

/* Flushes; then waits for input, at most this many ms, and reads it. */
void read_input(uint32_t wait_ms);

/* Whether a complete frame begins at this byte of `input`. */
bool frame_at(unsigned at);

/* The bytes of the frame, with type and length. */
unsigned length_at(unsigned at);

/* Removes the frame. */
void drop_frame(unsigned at);

/* Waits until a complete frame is at the front. */
void next_frame(void);

#endif
