/*
 * A thermostat: the analogue input is the room's "temp", 0 to 1023, pin 5 the "heater", and the server sets "target".
 * It works on through outages, keeps its target through resets, and reports to the server.
 *
 *     deno run -A server/main.ts --open --store home.db --app thermostat
 *     deno run -A server/main.ts set kitchen/target 600 --store home.db
 */
#if defined(ESP8266)
#include <ESP8266WiFi.h>
#else
#include <WiFi.h>
#endif
#include <EEPROM.h>
#include <HoldfastChannels.h>
#include <HoldfastMemory.h>

const uint8_t HEATER = 5;

WiFiClient wifi;
Holdfast<> holdfast(wifi);
HoldfastChannels channels(holdfast);

unsigned long last;
int32_t target = 500;
int told = -1; // the heater's state as last reported

void onCall(HoldfastCall &call) {
  if (!call.is("=target")) return; // answered: unknown
  int32_t wanted = call.integer(-1);
  if (wanted < 0) return; // answered: bad_value
  if (wanted != target) {
    target = wanted;
    EEPROM.put(0, target);
    EEPROM.put(4, ~target);
    EEPROM.commit();
  }
  call.answer(target);
}

void setup() {
  Serial.begin(115200);
  pinMode(HEATER, OUTPUT);
  EEPROM.begin(8);
  int32_t kept, turned;
  EEPROM.get(0, kept);
  EEPROM.get(4, turned);
  if (kept == ~turned) target = kept;
  WiFi.begin("my network", "its password");
  holdfast.memory(holdfastLoad, holdfastSave);
  channels.onCall(onCall);
  if (!holdfast.begin("kitchen", "192.168.1.10")) Serial.println(holdfast.problem());
  channels.begin("@thermostat 1");
}

void loop() {
  holdfast.loop();
  if (millis() - last < 10000) return;
  last = millis();
  int temp = analogRead(A0);
  int heats = temp < target;
  digitalWrite(HEATER, heats);
  if (holdfast.pending() > 3) return; // an outage: reports again when the link is back
  if (told != heats && channels.tell("=heater", heats)) told = heats;
  channels.tell("=temp", temp);
}
