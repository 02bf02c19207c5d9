/*
 * An application on the library for Arduino, over I2C, driven over stdin and stdout like pb_device.py:
 *
 *     header_device ID HOST PORT
 *
 * It knows only the JSON that its test uses.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#define HOLDFAST_I2C_IMPLEMENTATION
#include "../../bridge/arduino/src/holdfast_i2c.h"

static int testbed;
static uint8_t *expected;
static uint8_t expected_length;
static unsigned messages;

static void ask(const void *command, size_t length, void *answer, size_t answer_length) {
  char *at = answer;
  if (send(testbed, command, length, MSG_NOSIGNAL) != (ssize_t)length) exit(0);
  while (answer_length) {
    ssize_t n = recv(testbed, at, answer_length, 0);
    if (n <= 0) exit(0);
    at += n;
    answer_length -= (size_t)n;
  }
}

static void set_pin(uint8_t pin, int level) {
  uint8_t command[3] = {'p', pin, (uint8_t)level}, answer;
  ask(command, 3, &answer, 1);
}

static void syn(void *board, int level) { (void)board, set_pin(0, level); }

static void reset(void *board, int level) { (void)board, set_pin(2, level); }

static int ack(void *board) {
  uint8_t command[2] = {'g', 1}, level;
  (void)board;
  ask(command, 2, &level, 1);
  return level;
}

static uint32_t ms(void *board) {
  struct timespec now;
  (void)board;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static void offer(void *board, const uint8_t *bytes, uint8_t length) {
  uint8_t command[2 + 255] = {'a', length}, answer;
  (void)board;
  memcpy(command + 2, bytes, length);
  ask(command, 2 + (size_t)length, &answer, 1);
  expected = NULL;
}

static void expect(void *board, uint8_t *bytes, uint8_t length) {
  uint8_t command[2] = {'b', length}, answer;
  (void)board;
  ask(command, 2, &answer, 1);
  expected = bytes;
  expected_length = length;
}

static int moved(void *board) {
  uint8_t command[2] = {'o', 0}, answer[256];
  (void)board;
  command[1] = expected ? expected_length : 0;
  ask(command, 2, answer, 1 + (size_t)command[1]);
  if (answer[0] != 1) return 0;
  if (expected) memcpy(expected, answer + 1, expected_length);
  return 1;
}

static int message(void *board, const char *text, size_t length) {
  (void)board;
  if (messages++ % 7 == 3) return 0; /* refuses a message now and then */
  printf("{\"heard\": \"%.*s\"}\n", (int)length, text);
  return 1;
}

static void told(void *board, char what, const char *text) {
  (void)board;
  if (what == 'u' || what == 'd') printf("{\"linked\": %s}\n", what == 'u' ? "true" : "false");
  else if (what == 'r') printf("{\"report\": %s}\n", text);
  else printf("{\"trouble\": \"%s\"}\n", what == 'b' ? "wifi" : "server");
}

int main(int argc, char **argv) {
  static struct hf_link link;
  static char line[512], text[256];
  struct sockaddr_in address = {0};
  int one = 1, waiting = 0;
  if (argc < 4) return 2;
  address.sin_family = AF_INET;
  address.sin_port = htons((uint16_t)atoi(getenv("HOLDFAST_TESTBED")));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  testbed = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(testbed, (struct sockaddr *)&address, sizeof address)) return 1;
  setsockopt(testbed, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setvbuf(stdout, NULL, _IOLBF, 0);
  setvbuf(stdin, NULL, _IONBF, 0);
  link.port.syn = syn;
  link.port.ack = ack;
  link.port.reset = reset;
  link.port.ms = ms;
  link.port.offer = offer;
  link.port.expect = expect;
  link.port.moved = moved;
  link.port.message = message;
  link.port.told = told;
  if (hf_begin(&link, argv[1], argv[2], (uint16_t)atoi(argv[3]), "", "", (uint32_t)getpid()) != HF_OK) return 1;
  for (;;) {
    struct pollfd input = {0, POLLIN, 0};
    hf_poll(&link);
    if (waiting && !hf_pending(&link)) {
      printf("{\"wrote\": \"%s\"}\n{\"sent\": \"%s\"}\n", text, text);
      waiting = 0;
    }
    if (!waiting && poll(&input, 1, 0) > 0) {
      if (!fgets(line, sizeof line, stdin)) return 0;
      if (sscanf(line, "{\"write\":\"%255[^\"]\"", text) != 1) return 3;
      waiting = 1;
      if (hf_write(&link, text, strlen(text), 1) != HF_OK) return 4;
    }
    usleep(300);
  }
}
