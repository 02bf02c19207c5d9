/* A sketch with channels: does with each message what its test expects, and prints what it got. */
#include <ESP8266WiFi.h>
#include <HoldfastChannels.h>

static WiFiClient wifi;
static Holdfast<> holdfast(wifi);
static HoldfastChannels channels(holdfast);

static bool on_line(const char *text, size_t) {
  Serial.print("plain ");
  Serial.println(text);
  return true;
}

static void on_call(HoldfastCall &call) {
  Serial.print("call ");
  Serial.println(call.value());
  if (call.is("=heater")) {
    long wanted = call.integer(-1);
    if (wanted != 0 && wanted != 1) return;
    call.answer(wanted);
    call.answer(7); /* the first one counts */
  } else if (call.is("?adc")) {
    if (!strcmp(call.value(), "busy")) call.refuse("busy", "try later");
    else call.answer(512);
  } else if (call.is("?values")) {
    channels.tell("=before", 1); /* refused: an answer is due */
    call.answer();
    channels.tell("=a", -2147483647 - 1);
    channels.tell("=b", 4294967295u);
    channels.tell("=c", HoldfastValue(-21.55, 1));
    channels.tell("=d", HoldfastValue(0.0 / 0.0, 1));
    channels.tell("=e", 1e9);
    channels.tell("=f", -0.001);
    channels.tell("=g", HoldfastValue(2.5, 0));
    channels.tell("=h", "half past two");
    channels.tellAt("=i", 4294967295u, 3.14159);
    channels.tell("=j", "two\nlines");
    channels.tell("=l");
    channels.tell("=m", "");
    channels.tell("!k");
  } else if (call.is("=text")) {
    static char text[256];
    memset(text, 'x', sizeof text);
    text[call.integer(0)] = 0;
    call.answer(text);
  } else if (call.is("=number")) {
    call.answer(call.integer(-7));
  } else if (call.is("!bell")) {
    call.answer(1); /* none is due */
  } else if (call.is("!ask")) {
    char line[32];
    snprintf(line, sizeof line, "asked %lu", static_cast<unsigned long>(channels.ask("?time", call.value())));
    Serial.println(line);
  } else if (call.is(":time") || call.is("~time")) {
    char line[32];
    snprintf(line, sizeof line, "answered %lu", static_cast<unsigned long>(call.tag()));
    Serial.println(line);
  }
}

void setup() {
  channels.onCall(on_call);
  channels.onLine(on_line);
  if (!holdfast.begin("kitchen", "127.0.0.1")) abort();
  if (!channels.begin("@kitchen 3")) abort();
}

void loop() {
  holdfast.loop();
}
