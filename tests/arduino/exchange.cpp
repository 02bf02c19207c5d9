/*
 * A sketch that always has messages in flight, and prints what happens, an event a line:
 *
 *     boot B          started; its messages are "B 0", "B 1" …
 *     up, down WHY    the state of the link
 *     got TEXT        a message reached its handler
 *     kept E N        it stored the position
 *
 * HOLDFAST_HOSTS has the addresses, HOLDFAST_KEY the key, HOLDFAST_TIMEOUT the timeout. With HOLDFAST_SUITE=02 it seals
 * nothing, with 04 it has forward secrecy. Without HOLDFAST_RTC it does not store the position.
 */
#include <ESP8266WiFi.h>
#include <Holdfast.h>
#include <HoldfastMemory.h>
#include <unistd.h>

#define IN_FLIGHT 8

static WiFiClient wifi;
static Holdfast<153, 600, 400, IN_FLIGHT> holdfast(wifi); /* the minimum for suite 04 */
static uint32_t boot, next;

/* Written at once, because the process may be killed at any time. */
static void say(const char *format, const char *text, unsigned long a = 0, unsigned long b = 0) {
  static char line[256];
  int length = snprintf(line, sizeof line, format, text, a, b);
  if (write(1, line, length) != length) exit(0);
}

static bool got(const char *text, size_t length) {
  if (strlen(text) != length) abort();
  if (ESP.random() % 8 == 0) return false; /* too busy: it refuses the message */
  say("got %s\n", text);
  return true;
}

static void told(bool up, const char *reason) {
  if (up != holdfast.connected()) abort();
  say(up ? "up%s\n" : "down %s\n", reason);
}

static void save(const HoldfastPosition &position) {
  holdfastSave(position);
  say("kept%s %lu %lu\n", "", position.epoch, position.next);
}

void setup() {
  boot = ESP.random();
  say("boot%s %lu\n", "", boot);
  holdfast.onMessage(got);
  holdfast.onState(told);
  const char *suite = getenv("HOLDFAST_SUITE");
  holdfast.key(getenv("HOLDFAST_KEY"));
  if (suite && !strcmp(suite, "02")) holdfast.seal(false);
  if (suite && !strcmp(suite, "04")) holdfast.forwardSecrecy(true);
  holdfast.timeout(atoi(getenv("HOLDFAST_TIMEOUT")));
  if (getenv("HOLDFAST_RTC")) holdfast.memory(holdfastLoad, save);
  static char hosts[256];
  snprintf(hosts, sizeof hosts, "%s", getenv("HOLDFAST_HOSTS"));
  const char *first = strtok(hosts, ","), *second = strtok(nullptr, ",");
  bool begun = second ? holdfast.begin("board", first, second) : holdfast.begin("board", first);
  if (!begun) {
    fprintf(stderr, "%s\n", holdfast.problem());
    exit(1);
  }
}

void loop() {
  holdfast.loop();
  static char text[32];
  while (holdfast.pending() < IN_FLIGHT) {
    snprintf(text, sizeof text, "%lu %lu", static_cast<unsigned long>(boot), static_cast<unsigned long>(next));
    if (!holdfast.write(text)) break;
    next++;
  }
}
