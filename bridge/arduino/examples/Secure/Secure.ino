/*
 * A board and a server that prove to each other who they are, and hide all that they say: a key, and TLS. A key alone
 * seals the link, and leaves the board's name to be seen; here TLS does it, so the key need not.
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
what is in cert.pem
-----END CERTIFICATE-----
)";
// As `keys add` has printed it.
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
  holdfast.patience(15000); // a handshake takes its time
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
