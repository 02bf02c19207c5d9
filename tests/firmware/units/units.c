/* Parts of the firmware on a host: each line of stdin is a call, and is answered by a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "hmac.h"
#include "wifi_policy.h"

static uint8_t buffers[2][4096];

static size_t bytes_of(const char *hex, uint8_t *bytes) {
  size_t length = 0;
  unsigned byte;
  for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) bytes[length++] = byte;
  return length;
}

static struct wifi_policy policy;

/* Asks until there is nothing to do; says all that was asked for, and the wait. */
static void poll(uint32_t now) {
  static const char *const words[] = { "", "join ", "leave " };
  uint32_t wait;
  enum wifi_policy_action action;
  while ((action = wifi_policy_poll(&policy, now, &wait)) != WIFI_DO_NOTHING) printf("%s", words[action]);
  printf("wait %u\n", wait);
}

int main(void) {
  static char line[20000], word[32], first[10000], second[10000];
  while (fgets(line, sizeof line, stdin)) {
    first[0] = second[0] = 0;
    sscanf(line, "%31s %9999s %9999s", word, first, second);
    uint32_t now = strtoul(first, 0, 10);
    if (!strcmp(word, "hmac")) {
      uint8_t digest[32];
      size_t key = bytes_of(first, buffers[0]), length = bytes_of(second, buffers[1]);
      hmac_sha256(buffers[0], key, buffers[1], length, digest);
      for (int i = 0; i < 32; i++) printf("%02x", digest[i]);
      printf("\n");
    } else if (!strcmp(word, "crc")) {
      printf("%08x\n", crc32(0, buffers[0], bytes_of(first, buffers[0])));
    } else {
      if (!strcmp(word, "start")) wifi_policy_start(&policy, now);
      else if (!strcmp(word, "stop")) wifi_policy_stop(&policy);
      else if (!strcmp(word, "up")) wifi_policy_up(&policy, now);
      else if (!strcmp(word, "down")) wifi_policy_down(&policy, now);
      else if (!strcmp(word, "heard")) wifi_policy_heard(&policy);
      else if (!strcmp(word, "silence")) wifi_policy_silence(&policy, now);
      else if (strcmp(word, "at")) return 1;
      poll(now);
    }
    fflush(stdout);
  }
  return 0;
}
