/* The functions that a board calls: starts the firmware, and forwards events. */
#include "application.h"
#include "arena.h"
#include "bytes.h"
#include "console.h"
#include "core.h"
#include "deploy.h"
#include "driver.h"
#include "engine.h"
#include "port.h"
#include "settings.h"
#include "setup.h"
#include "sleep.h"
#include "slept.h"
#include "slots.h"
#include "version.h"
#include "wifi_policy.h"
#include "words.h"

/* Pause between a trap and the restart, in ms: even if an application always traps, the chip must be reachable over the
 * serial line. */
#define TRAP_PAUSE 5000

static struct settings settings IN_WORDS;
static struct wifi_policy wifi;
static bool choice;     /* the application has changed the settings: takes effect after its call */
static bool other_wifi; /* and has changed the WiFi */
static bool running;    /* there is an application, and it was started */
static bool configured; /* there are settings for WiFi and link */
static bool failed;     /* the application has trapped */
static uint32_t failed_at;
static int last_wifi = -1; /* enum firmware_wifi, as last reported */

static void say_address(uint32_t address) {
  for (int shift = 24; shift >= 0; shift -= 8) console_hex(address >> shift);
}

static void say_crash(void) {
  struct port_crash crash;
  if (!port_crash(&crash)) return;
  console_begin("crash cause=");
  console_number(crash.cause);
  console_text(" at=");
  say_address(crash.instruction);
  console_text(" address=");
  say_address(crash.address);
  console_end();
}

static void say_boot(void) {
  enum port_reset reason = port_reset_reason();
  console_begin("boot version=" FIRMWARE_VERSION " board=");
  console_text(port_board);
  console_text(" reset=");
  console_text(reset_words[reason]);
  console_text(" heap=");
  console_number(port_free_heap());
  console_end();
  if (reason == RESET_EXCEPTION) say_crash();
}

static void say_values(void) {
  console_begin("settings id=");
  console_value(settings.id, text_length(settings.id));
  console_text(" server=");
  console_value(settings.server, text_length(settings.server));
  console_text(":");
  console_number(settings.port);
  if (settings.server2[0]) {
    console_text(" server2=");
    console_value(settings.server2, text_length(settings.server2));
    console_text(":");
    console_number(settings.port);
  }
  console_text(" ssid=");
  console_value(settings.ssid, text_length(settings.ssid));
  console_text(settings.has_key ? " key=yes" : " key=no");
  if (settings_suite(&settings) == SUITE_EPHEMERAL) console_text(" suite=04");
  console_end();
}

/* Whether the settings have everything that WiFi and link need. */
static bool is_complete(const struct settings *values) {
  uint8_t missing[3];
  return !settings_missing(values, missing);
}

static void say_settings(enum settings_state state) {
  if (configured) {
    say_values();
    return;
  }
  console_begin("settings ");
  if (state == SETTINGS_OK) console_text("incomplete");
  else if (state == SETTINGS_BLANK) console_text("blank");
  else {
    console_text("damaged (");
    console_text(settings_word(state));
    console_text(")");
  }
  console_text(": waiting for settings");
  console_end();
}

static void adopt(const struct settings *values) {
  words_copy((uint32_t *)&settings, 0, values, sizeof *values);
}

/* Adopts the stored settings. Not inline, so that they are not on the stack while the application is compiled. */
static __attribute__((noinline)) enum settings_state read_settings(void) {
  struct settings stored;
  enum settings_state state = setup_read(&stored);
  adopt(&stored);
  return state;
}

/* The application's `configure`: its fields override the stored settings from now on. */
static bool choose(const uint8_t *fields, uint32_t length) {
  struct settings chosen;
  setup_read(&chosen);
  if (!settings_configure(fields, length, &chosen)) return false;
  other_wifi |= text_compare(settings.ssid, chosen.ssid) || text_compare(settings.password, chosen.password) ||
    text_compare(settings.country, chosen.country) || bytes_compare(settings.ip, chosen.ip, sizeof chosen.ip);
  adopt(&chosen);
  choice = true;
  return true;
}

static uint32_t memory_needed(void) {
  /* Dialect 1 needs most, whatever the suite. */
  return application_configures() ? core_memory(1, 0) : core_memory(settings.dialect, settings_suite(&settings));
}

/* Makes the application ready to run. Returns 0, or the error. */
static const char *prepare(const uint8_t *wasm, uint32_t length) {
  const char *wrong = engine_load(wasm, length, application_imports, memory_needed);
  if (wrong) arena_close(); /* it does not run */
  arena_seal();
  return wrong;
}

#ifdef ENGINE_AOT
/* The application is part of the firmware, and has no length. */
static const char *load(const char **name, uint32_t *length) {
  *name = engine_application;
  *length = 0;
  return prepare(0, 0);
}
#else
/* Finds the application in flash, and compiles it. Returns 0, or the error for the console. */
static const char *load(const char **name, uint32_t *length) {
  const char *wrong = slots_choose(port_reset_reason());
  if (wrong) return wrong;
  struct slot slot = slots_running();
  *name = slot.name;
  *length = slot.length;
  return prepare(slot.wasm, slot.length);
}
#endif

static void say_application(const char *wrong, const char *name, uint32_t length) {
  console_begin("application ");
  if (wrong) {
    console_text(wrong);
  } else {
    size_t name_length = 0;
    while (name_length < 32 && name[name_length]) name_length++;
    console_text("name=");
    console_value(name, name_length);
    if (length) {
      console_text(" bytes=");
      console_number(length);
    } else {
      console_text(" in=firmware");
    }
  }
  console_end();
}

static uint32_t wifi_state(void) {
  if (wifi.state == WIFI_POLICY_OFF) return 0;
  if (wifi.state == WIFI_POLICY_UP) return 2;
  return last_wifi > WIFI_LOST ? 3 : 1;
}

/* Starts WiFi and link with the current settings. */
static void connect(uint32_t now) {
  driver_boot(&settings, now);
  if (!settings.ssid[0]) return;
  wifi_policy_start(&wifi, now);
  if (slept_lease(now)) wifi_policy_hurry(&wifi);
}

void firmware_start(void) {
  console_listener = driver_log;
  application_wifi = wifi_state;
  application_configure = choose;
  application_sleep = sleep_ask;
  say_boot();
  sleep_begin();
  slept_begin();
  enum settings_state state = read_settings();
  deploy_start(&settings, port_ms());
  const char *name = 0;
  uint32_t length = 0;
  const char *wrong = load(&name, &length);
  bool configures = !wrong && application_configures();
  configured = !configures && state == SETTINGS_OK && is_complete(&settings);
  if (!configures || state > SETTINGS_BLANK) say_settings(state);
  say_application(wrong, name, length);
  if (wrong) deploy_fail(text_compare(wrong, ENGINE_TOO_LARGE) ? SLOT_LOAD : SLOT_HEAP);
#ifdef MEASURE
  if (!wrong) engine_measure();
#endif
  port_feed_watchdog();
  running = !wrong && (configured || configures);
  if (!running) return;
  application_reset();
  if (configured) connect(port_ms());
  engine_call(ON_START, 0, 0);
}

/* Applies the application's settings: drops the link, but keeps the WiFi if it is the same. */
static void reconfigure(uint32_t now) {
  if (configured) driver_drop(now);
  configured = true;
  say_values();
  if (other_wifi) wifi_policy_stop(&wifi);
  choice = other_wifi = false;
  if (wifi.state == WIFI_POLICY_OFF) connect(now);
  else driver_boot(&settings, now);
  engine_call(ON_START, 0, 0);
}

static void wifi_is_down(const char *reason) {
  console_begin("wifi down reason=");
  console_text(reason);
  console_end();
}

/* The WiFi could not be joined in time. */
static void give_up_wifi(void) {
  bool no_dhcp = wifi.associated && !settings.ip[0];
  last_wifi = no_dhcp ? WIFI_NO_DHCP : WIFI_REFUSED;
  wifi_is_down(no_dhcp ? "no-dhcp" : "no-answer");
}

static void run_wifi(uint32_t now, uint32_t *wait) {
  uint32_t wifi_wait;
  enum wifi_policy_action action;
  bool hurried = wifi.hurried;
  while ((action = wifi_policy_poll(&wifi, now, &wifi_wait)) != WIFI_DO_NOTHING) {
    if (action != WIFI_DO_JOIN) {
      if (action == WIFI_DO_GIVE_UP) give_up_wifi();
      if (action == WIFI_DO_GIVE_UP && !hurried) sleep_hopeless();
      driver_drop(now);
      port_wifi_leave();
      continue;
    }
    console_begin("wifi joining ssid=");
    console_value(settings.ssid, text_length(settings.ssid));
    console_end();
    const struct port_lease *known = wifi.hurried ? slept_lease(now) : 0;
    port_wifi_join(&(struct port_wifi){ settings.ssid, settings.password, settings.country, settings.ip, known });
  }
  if (wifi_wait < *wait) *wait = wifi_wait;
  setup_wifi = wifi.state == WIFI_POLICY_UP ? IMPROV_JOINED
    : wifi.state == WIFI_POLICY_OFF         ? IMPROV_READY
                                            : IMPROV_JOINING;
}

/* The application has trapped: prints that, and restarts the chip after a pause. */
static uint32_t fail(uint32_t now) {
  if (!failed) {
    failed = true;
    failed_at = now;
    console_begin("application failed: ");
    console_text(engine_trap());
    console_end();
    deploy_fail(SLOT_TRAP);
    if (configured) {
      driver_drop(now);
      port_wifi_leave();
    }
  }
  if (now - failed_at >= TRAP_PAUSE) port_restart();
  return TRAP_PAUSE - (now - failed_at);
}

static void run_link(uint32_t now, uint32_t *wait) {
  enum driver_news news = driver_run(wifi.state == WIFI_POLICY_UP, now, wait);
  if (news == DRIVER_HEARD) wifi_policy_heard(&wifi);
  if (news == DRIVER_SILENCE) wifi_policy_silence(&wifi, now);
  if (wifi.leave) *wait = 0;
}

uint32_t firmware_run(void) {
  uint32_t now = port_ms();
  uint32_t wait = 60000;
  setup_run();
  if (running && !engine_trap()) {
    if (configured) deploy_answer(); /* before the application, which may fill the outbox */
    if (configured) run_wifi(now, &wait);
    if (application_tick(now, &wait)) engine_call(ON_TICK, 0, 0);
    if (configured && !engine_trap()) run_link(now, &wait);
    if (choice && !engine_trap()) {
      reconfigure(now);
      wait = 0;
    }
    if (!engine_trap()) sleep_run(now, driver_up(), &wait);
    if (application_wants_restart()) port_restart();
  }
  if (!failed) deploy_run(running && configured && driver_up(), now, &wait);
  if (running && engine_trap()) wait = fail(now);
  port_feed_watchdog(); /* this is progress: everything that waits has a deadline, and was polled */
  return wait < 15000 ? wait : 15000;
}

/* Whether events of WiFi and connection matter. */
static bool is_linking(void) {
  return running && configured && !failed;
}

void firmware_wifi(enum firmware_wifi state) {
  static const char *const words[] = { "up", "lost", "not-found", "wrong-password", "refused", "no-dhcp" };
  if (!is_linking()) return;
  uint32_t now = port_ms();
  if (state == WIFI_ASSOCIATED) {
    wifi_policy_associated(&wifi, now);
    return;
  }
  if (state == WIFI_UP) {
    if (wifi.state != WIFI_POLICY_JOINING) return;
    wifi_policy_up(&wifi, now);
    slept_joined(now);
    uint32_t ip = port_wifi_ip();
    console_begin("wifi up ip=");
    for (int i = 0; i < 4; i++) {
      if (i) console_text(".");
      console_number(ip >> i * 8 & 255);
    }
    console_end();
  } else {
    if (wifi.state != WIFI_POLICY_JOINING && wifi.state != WIFI_POLICY_UP) return;
    if (wifi.state == WIFI_POLICY_JOINING && !wifi.hurried) sleep_hopeless();
    wifi_policy_down(&wifi, now);
    wifi_is_down(words[state]);
  }
  last_wifi = state;
}

void firmware_tcp_opened(void) {
  if (is_linking()) driver_opened(port_ms());
}

void firmware_tcp_no_address(void) {
  if (is_linking()) driver_no_address(port_ms());
}

void firmware_tcp_closed(void) {
  if (is_linking()) driver_closed(port_ms());
}

size_t firmware_tcp_received(const uint8_t *bytes, size_t length) {
  return is_linking() ? driver_received(bytes, length) : length;
}

void firmware_serial(const uint8_t *bytes, size_t length) {
  setup_serial(bytes, length, port_ms());
}
