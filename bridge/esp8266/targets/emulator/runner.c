/*
 * A program that replaces the firmware if EMULATOR_RUNNER is defined: makes single calls of the module's functions, and
 * sends its whole memory after each. Frames from the host, and the answers:
 *
 *     I memory                  loads the module again, with this many bytes of memory   answer: i complaint
 *     X function a b at bytes   puts bytes into the memory, and calls                 answer: y result memory trap
 * and to the host, during a call:   h at length to memory                             answer: J memory
 */
#ifdef EMULATOR_RUNNER
#include "bytes.h"
#include "core.h"
#include "engine.h"
#include "frames.h"
#include "port.h"
#include "slots.h"

static uint32_t memory_bytes;

static uint32_t memory_wanted(void) {
  return memory_bytes;
}

static void send_memory(char type, const uint32_t *words, unsigned count) {
  frame_start(type, count * 4 + memory_bytes);
  put(words, count * 4);
  put(engine_at(0, memory_bytes), memory_bytes);
}

static uint32_t ask_for_hmac(const uint32_t *arguments) {
  send_memory('h', arguments, 3);
  unsigned at = length_at(0); /* behind the current call */
  while (!frame_at(at)) read_input(20000);
  bytes_copy(engine_at(0, memory_bytes), input + at + 3, memory_bytes);
  drop_frame(at);
  return 0;
}

void run_calls(void) {
  static const struct engine_import imports[] = {
    { "host", "hmac", 3, false, ask_for_hmac },
    { 0, 0, 0, false, 0 },
  };
  for (;; drop_frame(0)) {
    next_frame();
    uint32_t words[4];
    if (input[0] == 'I') {
      bytes_copy(&memory_bytes, input + 3, 4);
      slots_choose(RESET_POWER_ON);
      struct slot slot = slots_running();
      const char *wrong = engine_load(slot.wasm, slot.length, imports, memory_wanted);
      frame('i', wrong ? wrong : "", wrong ? text_length(wrong) : 0);
    } else {
      bytes_copy(words, input + 4, 12);
      unsigned length = length_at(0) - 16;
      if (length) bytes_copy(engine_at(words[2], length), input + 16, length);
      uint32_t result = engine_call(input[3], words[0], words[1]);
      send_memory('y', &result, 1);
      if (engine_trap()) {
        frame('t', engine_trap(), text_length(engine_trap()));
      }
    }
  }
}
#endif
