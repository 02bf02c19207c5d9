/* WiFi: a station that joins and leaves, and reports its state. */
#include "sdk.h"

#include "osapi.h"
#include "user_interface.h"

#include "bytes.h"
#include "parts.h"
#include "port.h"
#include "task.h"
#include "words.h"

/* True from `port_wifi_join` to `port_wifi_leave`. */
static bool wanted;
static bool has_address;
static bool has_password; /* for this network */
static bool has_lease;    /* the address is from DHCP */
static uint32_t access_point[2] IN_WORDS; /* as in struct port_lease */

/* States to report. */
static uint8_t news[4];
static volatile unsigned news_count;

static void note(enum firmware_wifi state) {
  /* If the firmware is so slow, only the last state matters; this one is only a step. */
  if (news_count == sizeof news && state == WIFI_ASSOCIATED) return;
  if (news_count == sizeof news) news_count--;
  news[news_count++] = state;
  task_wake();
}

void wifi_tell(void) {
  while (news_count) {
    enum firmware_wifi first = news[0];
    news_count--;
    bytes_move(news, news + 1, news_count);
    firmware_wifi(first);
  }
}

static enum firmware_wifi meaning(unsigned reason) {
  switch (reason) {
    case REASON_NO_AP_FOUND: return WIFI_NOT_FOUND;
    /* Many access points report this for a wrong password; an open one must have another reason. */
    case REASON_AUTH_EXPIRE: return has_password ? WIFI_WRONG_PASSWORD : WIFI_REFUSED;
    case REASON_4WAY_HANDSHAKE_TIMEOUT:
    case REASON_HANDSHAKE_TIMEOUT:
    case REASON_AUTH_FAIL: return WIFI_WRONG_PASSWORD;
    case REASON_BEACON_TIMEOUT: return WIFI_LOST;
    default: return WIFI_REFUSED;
  }
}

static void happened(System_Event_t *event) {
  if (!wanted) return;
  switch (event->event) {
    case EVENT_STAMODE_CONNECTED:
      words_copy(access_point, 0, event->event_info.connected.bssid, 6);
      words_put(access_point, 6, event->event_info.connected.channel);
      if (!has_address) note(WIFI_ASSOCIATED);
      break;
    case EVENT_STAMODE_GOT_IP:
      has_address = true;
      note(WIFI_UP);
      break;
    case EVENT_STAMODE_DISCONNECTED: {
      unsigned reason = event->event_info.disconnected.reason;
      /* This is about our own leaving, before the current join. */
      if (reason == REASON_ASSOC_LEAVE && !has_address) break;
      note(has_address ? WIFI_LOST : meaning(reason));
      has_address = false;
      break;
    }
    case EVENT_STAMODE_DHCP_TIMEOUT:
      note(has_address ? WIFI_LOST : WIFI_NO_DHCP);
      has_address = false;
      break;
    default: break;
  }
}

void wifi_begin(void) {
  /* Both are stored in flash: this writes them once in the life of a board. */
  if (wifi_station_get_auto_connect()) wifi_station_set_auto_connect(0);
  if (wifi_get_opmode_default() != STATION_MODE) wifi_set_opmode(STATION_MODE);
  wifi_set_sleep_type(NONE_SLEEP_T); /* packets to a sleeping station wait for its next beacon, or the one after */
  char name[16];
  bytes_copy(name, "holdfast-000000", sizeof name); /* the SDK reads it in bytes, so it must not be in flash */
  uint32_t id = system_get_chip_id();
  for (char *digit = name + sizeof name - 2; *digit != '-'; digit--, id >>= 4) {
    unsigned value = id & 15;
    *digit = value < 10 ? '0' + value : 'a' + value - 10;
  }
  wifi_station_set_hostname(name);
  wifi_set_event_handler_cb(happened);
}

/* Sets the network, and the known access point or the strongest one: without `all_channel_scan` it would be the first
 * in the order of channels. */
static bool set_network(const struct port_wifi *wifi) {
  struct station_config config;
  bytes_fill(&config, 0, sizeof config);
  /* Texts of the greatest length do not end with NUL. */
  bytes_copy(config.ssid, wifi->ssid, text_length(wifi->ssid));
  bytes_copy(config.password, wifi->password, text_length(wifi->password));
  config.all_channel_scan = !wifi->known;
  if (wifi->known) {
    uint8_t known[8];
    bytes_copy(known, wifi->known->access_point, sizeof known);
    bytes_copy(config.bssid, known, 6);
    config.bssid_set = 1;
    config.channel = known[6];
  }
  return wifi_station_set_config_current(&config);
}

/* Countries with 11 channels. Others have 13, or a 14th that is only for 802.11b. */
static bool has_eleven_channels(const char *country) {
  static const char eleven[] = "AS\0CA\0GU\0MP\0PR\0TW\0US\0VI\0";
  for (const char *known = eleven; *known; known += 3) {
    if (!text_compare(known, country)) return true;
  }
  return false;
}

/* The SDK does not send on channels 12 and 13 unless a country is set for certain: it hears networks there, but finds
 * no hidden one. The country is not stored in flash. */
static bool set_country(const char *country) {
  bool known = country[0] != 0;
  wifi_country_t channels;
  bytes_copy(channels.cc, known ? country : "CN", 3); /* the SDK's default */
  channels.schan = 1;
  channels.nchan = has_eleven_channels(country) ? 11 : 13;
  channels.policy = known ? WIFI_COUNTRY_POLICY_MANUAL : WIFI_COUNTRY_POLICY_AUTO;
  return wifi_set_country(&channels);
}

static bool set_address(const uint32_t *ip) {
  has_lease = !ip[0];
  bool asks = wifi_station_dhcpc_status() == DHCP_STARTED;
  if (!ip[0]) return asks || wifi_station_dhcpc_start();
  if (asks && !wifi_station_dhcpc_stop()) return false;
  struct ip_info info;
  info.ip.addr = ip[0];
  info.netmask.addr = ip[1];
  info.gw.addr = ip[2];
  if (ip[3]) tcp_use_dns(ip[3]);
  return wifi_set_ip_info(STATION_IF, &info);
}

void port_wifi_join(const struct port_wifi *wifi) {
  has_password = wifi->password[0] != 0;
  has_address = false;
  wanted = true;
  const uint32_t *ip = wifi->known && !wifi->ip[0] ? wifi->known->ip : wifi->ip;
  bool good = set_network(wifi) && set_country(wifi->country) && set_address(ip) && wifi_station_connect();
  if (!good) note(WIFI_REFUSED);
}

void port_wifi_leave(void) {
  wanted = false;
  has_address = false;
  news_count = 0;
  wifi_station_disconnect();
}

bool port_wifi_lease(struct port_lease *lease) {
  struct ip_info info;
  if (!has_address || !wifi_get_ip_info(STATION_IF, &info)) return false;
  *lease = (struct port_lease){
    .ip = { info.ip.addr, info.netmask.addr, info.gw.addr, tcp_dns() },
    .access_point = { access_point[0], access_point[1] },
    .seconds = has_lease ? tcp_lease() : 0,
  };
  return true;
}

uint32_t port_wifi_ip(void) {
  struct ip_info info;
  return wifi_get_ip_info(STATION_IF, &info) ? info.ip.addr : 0;
}

/* ---- Scanning for networks ---- */

static void (*scan_found)(const char *ssid, int rssi, bool locked);

static void scanned(void *result, STATUS status) {
  void (*found)(const char *, int, bool) = scan_found;
  scan_found = 0;
  if (!found) return;
  struct bss_info *bss = status == OK ? result : 0;
  for (; bss; bss = STAILQ_NEXT(bss, next)) {
    char ssid[33];
    unsigned length = bss->ssid_len < 32 ? bss->ssid_len : 32;
    bytes_copy(ssid, bss->ssid, length);
    ssid[length] = 0;
    if (length) found(ssid, bss->rssi, bss->authmode != AUTH_OPEN);
  }
  found(0, 0, false);
  task_wake();
}

bool port_wifi_scan(void (*found)(const char *ssid, int rssi, bool locked)) {
  if (scan_found) return false;
  scan_found = found;
  if (wifi_station_scan(0, scanned)) return true;
  scan_found = 0;
  return false;
}
