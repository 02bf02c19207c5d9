#include <ESP8266WiFi.h>  // on an ESP32 or a Pico W: <WiFi.h>
#include <HoldfastMemory.h>
WiFiClient wifi;
Holdfast<> holdfast(wifi);
unsigned long count, last;
void setup() {
  Serial.begin(115200);
  WiFi.begin("my network", "its password");
  holdfast.memory(holdfastLoad, holdfastSave);
  holdfast.onMessage([](const char *text, size_t) { Serial.println(text); return true; });
  holdfast.begin("kitchen", "192.168.1.10", "192.168.1.11");
}
void loop() {
  holdfast.loop();
  if (millis() - last >= 1000 && holdfast.write(String(count).c_str())) count++, last = millis();
}
