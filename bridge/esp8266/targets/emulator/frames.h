/*
 * What the emulator is asked for, and the frames that go through it to the program on the host: type, length (16
 * bits), payload. They go out on file descriptor 1 and come in on 0; emulator/frames.ts is the other end.
 */
#ifndef EMULATOR_FRAMES_H
#define EMULATOR_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CALL_EXIT = 1, CALL_READ = 3, CALL_WRITE = 4, CALL_OPEN = 5, CALL_SELECT = 29 };

/* Calls the emulator: start.S. */
extern int simcall(int number, int a, int b, int c);

/* Ends the emulator: what the host is for is over, or the host has gone. Does not return. */
void leave(int code) __attribute__((noreturn));

/* A frame is kept until `flush`, or until there is no room for the next. */
void frame(char type, const void *payload, size_t length);

/* The same in pieces: the pieces have `length` in all. */
void frame_start(char type, size_t length);
void put(const void *bytes, size_t length);

void flush(void);

/* Forgets what has not been flushed. */
void drop_output(void);

#define MOST_PAYLOAD 4200
/* Frames that have come in and were not dropped yet, as they came. */
extern uint8_t input[2 * (3 + MOST_PAYLOAD)];

/* Flushes; then waits for input, this many ms at most, and reads what there is. */
void read_input(uint32_t wait_ms);

/* Whether a whole frame begins at that byte of `input`. */
bool frame_at(unsigned at);

/* Its bytes, with type and length. */
unsigned length_at(unsigned at);

/* Takes it out. */
void drop_frame(unsigned at);

/* Waits until there is one at the front. */
void next_frame(void);

#endif
