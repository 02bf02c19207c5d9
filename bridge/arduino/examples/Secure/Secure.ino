/*
 * Board and server authenticate each other with a key, and encrypt with TLS. A key alone also seals the link, but shows
 * the board's name on the wire; here TLS hides everything, so the key need not seal.
 *
 *     deno run -A server/main.ts keys add kitchen --suite 02 --keys keys.json
 *     deno run -A server/main.ts --keys keys.json --tls-cert cert.pem --tls-key key.pem --app echo
 */
#if defined(ESP8266)
#include <ESP8266WiFi.h>
#else
#include <WiFi.h>
#endif
#include <HoldfastMemory.h>
#include <WiFiClientSecure.h>

const char CERTIFICATE[] = R"(-----BEGIN CERTIFICATE-----
the contents of cert.pem
-----END CERTIFICATE-----
)";
// The key that `keys add` has printed.
const char KEY[] = "0000000000000000000000000000000000000000000000000000000000000000";

WiFiClientSecure tls;
Holdfast<> holdfast(tls);

void onState(bool up, const char *reason) {
  digitalWrite(LED_BUILTIN, up ? LOW : HIGH);
  Serial.println(up ? "up" : reason);
}

bool onMessage(const char *text, size_t) {
  Serial.println(text);
  return true;
}

void setup() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
  WiFi.begin("my network", "its password");
#if defined(ESP32)
  tls.setCACert(CERTIFICATE);
  tls.setConnectionTimeout(15000);
#else
  static BearSSL::X509List anchors(CERTIFICATE);
  tls.setTrustAnchors(&anchors);
#endif
  holdfast.patience(15000); // a TLS handshake takes seconds
  holdfast.key(KEY);
  holdfast.seal(false); // TLS does
  holdfast.memory(holdfastLoad, holdfastSave);
  holdfast.onState(onState);
  holdfast.onMessage(onMessage);
  if (!holdfast.begin("kitchen", "holdfast.example")) Serial.println(holdfast.problem());
}

void loop() {
  holdfast.loop();
}
