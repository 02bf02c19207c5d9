#include "frames.h"

#include "bytes.h"

void leave(int code) {
  simcall(CALL_EXIT, code, 0, 0);
  for (;;) {}
}

static uint8_t output[2048];
static unsigned output_length;

void flush(void) {
  for (unsigned at = 0; at < output_length;) {
    int n = simcall(CALL_WRITE, 1, (int)(output + at), output_length - at);
    if (n <= 0) leave(3); /* the host is gone */
    at += n;
  }
  output_length = 0;
}

void put(const void *bytes, size_t length) {
  const uint8_t *at = bytes;
  while (length--) {
    if (output_length == sizeof output) flush();
    output[output_length++] = *at++;
  }
}

void frame_start(char type, size_t length) {
  uint8_t header[3] = { type, length, length >> 8 };
  put(header, 3);
}

void frame(char type, const void *payload, size_t length) {
  frame_start(type, length);
  put(payload, length);
}

uint8_t input[2 * (3 + MOST_PAYLOAD)];
static unsigned input_length;

void read_input(uint32_t wait_ms) {
  if (input_length == sizeof input) return;
  uint32_t time[2] = { wait_ms / 1000, wait_ms % 1000 * 1000 };
  flush();
  if (simcall(CALL_SELECT, 0, 1, (int)time) <= 0) return;
  int n = simcall(CALL_READ, 0, (int)(input + input_length), sizeof input - input_length);
  if (n <= 0) leave(3);
  input_length += n;
}

unsigned length_at(unsigned at) {
  return 3 + (input[at + 1] | input[at + 2] << 8);
}

bool frame_at(unsigned at) {
  return at + 3 <= input_length && at + length_at(at) <= input_length;
}

void drop_frame(unsigned at) {
  unsigned length = length_at(at);
  input_length -= length;
  bytes_move(input + at, input + at + length, input_length - at);
}

void drop_output(void) {
  output_length = 0;
}

void next_frame(void) {
  while (!frame_at(0)) read_input(20000);
}
