/*
 * A board with Ethernet (a W5500 and the library Ethernet) that reports a button. It has small buffers, and brings its
 * own source of random bits and its own memory, as a board needs that this library does not know.
 */
#include <Ethernet.h>
#include <Holdfast.h>
#include <SPI.h>

const uint8_t BUTTON = 4;

uint8_t mac[] = { 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed };
EthernetClient cable;
Holdfast<121, 256, 336, 4> holdfast(cable);
int before = HIGH;

// Noise of an open input: enough to tell starts apart, but not good enough for a key.
uint32_t noise() {
  static uint32_t state;
  for (int i = 0; i < 32; i++) state = state * 1664525 + 1013904223 + analogRead(A0);
  return state;
}

HoldfastPosition kept; // put it where it survives a reset: an FRAM, the memory of a clock chip

void load(HoldfastPosition &position) { position = kept; }

void save(const HoldfastPosition &position) { kept = position; }

void setup() {
  Serial.begin(115200);
  pinMode(BUTTON, INPUT);
  Ethernet.begin(mac);
  holdfast.random(noise);
  holdfast.memory(load, save);
  if (!holdfast.begin("door", "192.168.1.10")) Serial.println(holdfast.problem());
}

void loop() {
  Ethernet.maintain();
  holdfast.loop();
  int now = digitalRead(BUTTON);
  if (now != before && holdfast.write(now == LOW ? "pressed" : "released")) before = now;
}
