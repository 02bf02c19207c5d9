/* Parts of the firmware on a host: each line of stdin is a call, and is answered by a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "hmac.h"
#include "wifi_policy.h"
#include "words.h"

static uint8_t buffers[2][4096];

static size_t bytes_of(const char *hex, uint8_t *bytes) {
  size_t length = 0;
  unsigned byte;
  for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) bytes[length++] = byte;
  return length;
}

static struct wifi_policy policy;

static void print_words(const uint32_t *words) {
  for (int i = 0; i < 64; i++) printf("%02x", ((const uint8_t *)words)[i]);
}

/* Polls until there is nothing to do; prints all requests, and the wait. */
static void poll(uint32_t now) {
  static const char *const words[] = { "", "join ", "leave ", "give-up " };
  uint32_t wait;
  enum wifi_policy_action action;
  while ((action = wifi_policy_poll(&policy, now, &wait)) != WIFI_DO_NOTHING) printf("%s", words[action]);
  printf("wait %u\n", wait);
}

/* Copies bytes to a place in words full of 0xEE, and from there to the front. */
static void copy_words(unsigned at, const uint8_t *bytes, size_t length) {
  uint32_t words[16];
  memset(words, 0xEE, sizeof words);
  words_copy(words, at, bytes, length);
  print_words(words);
  printf(" ");
  words_copy(words, 0, (const uint8_t *)words + at, length);
  print_words(words);
  printf("\n");
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
      holdfast_hmac_sha256(buffers[0], key, buffers[1], length, digest);
      for (int i = 0; i < 32; i++) printf("%02x", digest[i]);
      printf("\n");
    } else if (!strcmp(word, "crc")) {
      printf("%08x\n", crc32(0, buffers[0], bytes_of(first, buffers[0])));
    } else if (!strcmp(word, "words")) {
      copy_words(now, buffers[0], bytes_of(second, buffers[0]));
    } else {
      char *last = word + strlen(word) - 1;
      bool more = *last == '+'; /* a further event, before the policy is asked */
      if (more) *last = 0;
      if (!strcmp(word, "start")) wifi_policy_start(&policy, now);
      else if (!strcmp(word, "hurry")) wifi_policy_hurry(&policy);
      else if (!strcmp(word, "stop")) wifi_policy_stop(&policy);
      else if (!strcmp(word, "in")) wifi_policy_associated(&policy, now);
      else if (!strcmp(word, "up")) wifi_policy_up(&policy, now);
      else if (!strcmp(word, "down")) wifi_policy_down(&policy, now);
      else if (!strcmp(word, "heard")) wifi_policy_heard(&policy);
      else if (!strcmp(word, "silence")) wifi_policy_silence(&policy, now);
      else if (strcmp(word, "at")) return 1;
      if (more) continue;
      poll(now);
    }
    fflush(stdout);
  }
  return 0;
}
