/*
 * A sketch that writes three messages when it starts, two of them with a deadline, and reports their fate on its
 * output. HOLDFAST_HOSTS has its one address.
 */
#include <ESP8266WiFi.h>
#include <Holdfast.h>

static WiFiClient wifi;
static Holdfast<> holdfast(wifi);

void setup() {
  holdfast.timeout(1000);
  bool good = holdfast.begin("bell", getenv("HOLDFAST_HOSTS")) && !holdfast.writeWithin("now", 0) &&
    !holdfast.writeWithin("now", 0x80000000) && !holdfast.writeWithin("", 100);
  good = good && holdfast.write("stays") && holdfast.writeWithin("short", 200) && holdfast.writeWithin("long", 60000);
  /* Six more may wait; the seventh is refused before any of them expires. */
  for (int i = 0; i < 6; i++) good = good && holdfast.writeWithin("short", 200);
  good = good && !holdfast.writeWithin("one too many", 200) && holdfast.pending() == 9;
  Serial.println(good ? "written" : "refused");
}

void loop() {
  static uint32_t expired;
  static bool decided;
  holdfast.loop();
  if (holdfast.expired() != expired) {
    expired = holdfast.expired();
    Serial.print("expired ");
    Serial.println(String(expired).c_str());
  }
  if (decided || holdfast.pending()) return;
  decided = true;
  Serial.println("all decided");
}
