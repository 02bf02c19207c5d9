#include "driver.h"

#include "application.h"
#include "bytes.h"
#include "console.h"
#include "core.h"
#include "crc32.h"
#include "deploy.h"
#include "engine.h"
#include "kept.h"
#include "port.h"
#include "seal.h"
#include "slept.h"
#include "version.h"
#include "words.h"

/* Without WiFi, the core is still polled now and then, in ms: its clock wraps. */
#define ASLEEP 3600000u

static const struct settings *settings;
static uint32_t owner; /* of the position: see kept.h */
static struct core_position kept;
static bool up;
static bool connecting; /* requested, and neither opened nor closed yet */
static bool open; /* opened, and not closed since: received bytes belong to this connection */
static bool wifi;
static bool second; /* it is the turn of `server2` */
static bool sent_away; /* by one address, and no link has lasted for the timeout since */
static bool hurries;   /* the core must not pause before its next attempt */
static uint32_t up_at; /* by the core's clock */
/* The core's clock stands while the server's name is looked up: since when, and its lag in ms. */
static bool stands;
static uint32_t stands_since, stood;
static bool heard, silence;
static uint32_t polled;
static bool settled; /* the core was not called since it had nothing more to do */

/* Console lines for the server, each behind its length. */
static uint32_t lines[464 / 4] IN_WORDS;
static size_t lines_length;
static unsigned lines_lost;
static bool passing_on;

/* The core's clock at this time of the board's. */
static uint32_t core_time(uint32_t now) {
  if (stands && !(connecting && port_tcp_resolving())) {
    stood += now - stands_since;
    stands = false;
  }
  return (stands ? stands_since : now) - stood;
}

static size_t append(char *name, size_t at, const char *text) {
  for (; *text && at < CORE_MOST_NAME - 1; text++) name[at++] = *text;
  return at;
}

void driver_boot(const struct settings *chosen, uint32_t now) {
  settings = chosen;
  char name[CORE_MOST_NAME];
  size_t length = append(name, 0, settings->id), id_length = length;
  if (HELLO_METADATA && settings->dialect == 2) {
    length = append(name, length, "\treset=");
    length = append(name, length, deploy_fell_back() ? "rollback" : reset_words[port_reset_reason()]);
    length = append(name, length, " version=" FIRMWARE_VERSION " board=");
    length = append(name, length, port_board);
    char application[DEPLOY_NAME];
    if (deploy_name(application)) {
      length = append(name, length, " app=");
      length = append(name, length, application);
    }
  }
  /* The time is the last of the metadata, behind a space, or behind the TAB if it is the only one. */
  bool says_ms = settings->dialect == 2 && length + text_length(CORE_MS) <= id_length + CORE_METADATA;
  if (says_ms) {
    length = append(name, length, length == id_length ? "\t" : " ");
    length = append(name, length, CORE_MS);
  }
  owner = crc32(crc32(0, settings->id, text_length(settings->id) + 1), settings->server, text_length(settings->server));
  owner = crc32(owner, &settings->port, sizeof settings->port);
  owner = crc32(owner, settings->server2, text_length(settings->server2));
  kept = kept_read(owner);
  deploy_booted();
  application_key(settings->has_key ? settings->key : 0);
  struct core_boot boot = {
    .name = name,
    .name_length = length,
    .says_ms = says_ms,
    .timeout = settings->timeout,
    .dialect = settings->dialect,
    .suite = settings_suite(settings),
    .line = settings->line,
    .window = application_sleeps() ? CORE_WINDOW_SLEEPING : CORE_WINDOW,
    .position = kept,
    .stream = settings->dialect == 2 ? slept_stream(owner) : (struct core_position){ 0, 0 },
  };
  up = connecting = open = second = sent_away = hurries = false;
  polled = core_time(now);
  core_boot(&boot, polled);
  if (boot.stream.epoch) slept_replay();
}

uint8_t driver_dialect(void) {
  return settings ? settings->dialect : 0;
}

uint32_t driver_owner(void) {
  return owner;
}

/* The current address of the server. */
static const char *server(void) {
  return second ? settings->server2 : settings->server;
}

/* After an attempt without a link, the next one goes to the other address, if there is one; after a lost link, the same
 * address comes first. */
static void take_turns(void) {
  second = !second && settings->server2[0];
}

/* Saves the position. Must be done before the core's next piece, which acknowledges it. */
static void keep_position(void) {
  struct core_position position = core_position();
  if (position.epoch == kept.epoch && position.next == kept.next) return;
  kept = position;
  kept_write(owner, position);
}

/* Whether the server's name needs mDNS, which this firmware does not support. */
static bool is_local(void) {
  const char *name = server();
  const char *end = ".local";
  size_t length = text_length(name), tail = text_length(end);
  if (length && name[length - 1] == '.') length--;
  if (length <= tail) return false;
  for (size_t i = 0; i < tail; i++) {
    char c = name[length - tail + i];
    if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != end[i]) return false;
  }
  return true;
}

static void say_reason(void) {
  static const char *const reasons[] = {
    "LOST", "LOST", "NO_ANSWER", "NO_GREETING", "SILENT", "STALLED", "LINE_TOO_LONG",
    "BAD_LINE", "GAP", "BAD_POSITION", "BAD_GREETING", "BAD_PROOF",
  };
  uint32_t reason = core_get(R_REASON);
  console_begin("link down reason=");
  if (seal_broken()) {
    console_text("BAD_SEAL");
  } else if (reason >= CORE_REFUSED) {
    console_text("REFUSED code=");
    console_hex(reason - CORE_REFUSED);
  } else {
    console_text(reasons[reason < sizeof reasons / sizeof *reasons ? reason : 0]);
  }
  console_end();
}

static void tell_application(void) {
  if (!up) return;
  up = false;
  engine_call(ON_STATE, 0, 0);
}

/* The connection or the attempt is over. */
static void went_down(void) {
  connecting = open = false;
  uint32_t reason = core_get(R_REASON);
  if (reason == CORE_NO_ANSWER || reason == CORE_SILENT) silence = true;
  say_reason();
  tell_application();
}

/* The same, because of the server or the network. `leaving`: the server has said that it is about to stop. If both
 * addresses say so, one after the other, the device pauses as after any refusal. */
static void failed(uint32_t now, bool leaving) {
  if (up && now - up_at >= settings->timeout) sent_away = false;
  hurries = leaving && !sent_away && settings->server2[0];
  sent_away |= leaving;
  if (!up || leaving) take_turns();
  went_down();
}

static void see_state(uint32_t now) {
  if (up || core_get(R_STATE) != CORE_UP) return;
  up = true;
  up_at = now;
  keep_position();
  console_begin("link up connects=");
  console_number(core_get(R_CONNECTS));
  console_end();
  engine_call(ON_STATE, 1, 0);
}

static void connect(uint32_t now) {
  if (!wifi) {
    core_closed(now);
    return;
  }
  console_begin("link connecting server=");
  console_value(server(), text_length(server()));
  console_text(":");
  console_number(settings->port);
  console_end();
  connecting = true;
  port_tcp_open(server(), settings->port);
  stands = port_tcp_resolving();
  stands_since = now + stood;
}

static void send(void) {
  size_t length;
  const uint8_t *piece = core_piece(&length);
  if (piece && length + HOLDFAST_RECORD <= port_tcp_room()) seal_send(piece, length); /* otherwise the core's memory is corrupt */
}

static bool give_application(const uint8_t *text, size_t length) {
  bool taken = engine_call(ON_MESSAGE, text - (const uint8_t *)engine_at(0, 0), length);
  return !engine_trap() && (taken || !engine_returns(ON_MESSAGE));
}

/* Gives the oldest message to the firmware or the application. False: neither takes it until something else happens. */
static bool hand_over(bool can_receive, uint32_t now) {
  size_t length;
  const uint8_t *text = core_piece(&length);
  if (!text) return true;
  bool own = deploy_is(text, length);
  if (own ? !deploy_take(text, length, now) : !can_receive) return false;
  if (!own && !give_application(text, length)) return true;
  core_take();
  keep_position();
  return true;
}

/* Gives console lines to the core, as messages of their own kind. */
static void pass_lines_on(void) {
  if (!lines_length || !up) return;
  passing_on = true; /* lines logged meanwhile would repeat for ever */
  const uint8_t *bytes = (const uint8_t *)lines;
  size_t at = 0;
  while (at < lines_length) {
    size_t length = bytes[at];
    if (length > core_get(R_PEER_LINE)) lines_lost++; /* the server never takes it */
    else if (!core_write(bytes + at + 1, length, false)) break;
    at += 1 + length;
  }
  words_copy(lines, 0, bytes + at, lines_length - at);
  lines_length -= at;
  passing_on = false;
  if (lines_length || !lines_lost) return;
  unsigned lost = lines_lost;
  lines_lost = 0;
  console_begin("log lost=");
  console_number(lost);
  console_end();
}

void driver_log(const uint8_t *line, size_t length) {
  if (!settings || !settings->log || settings->dialect != 2 || passing_on) return;
  if (!up) return;
  if (length > 254) length = 254;
  if (lines_length + length + 2 > sizeof lines) {
    lines_lost++;
    return;
  }
  words_put(lines, lines_length, length + 1);
  words_put(lines, lines_length + 1, 1); /* the mark of console lines */
  words_copy(lines, lines_length + 2, line, length);
  lines_length += length + 2;
}

/* Polls the core until it has nothing more to do. */
static void pump(uint32_t now) {
  enum core_event event;
  bool blocked = false; /* nobody takes the oldest message now */
  do {
    pass_lines_on();
    deploy_answer();
    bool can_receive = !engine_has(CAN_RECEIVE) || engine_call(CAN_RECEIVE, 0, 0);
    /* Even if the application cannot receive, the message may be for the firmware. */
    bool looks = can_receive || settings->dialect == 2;
    unsigned can = (looks && !blocked ? CORE_CAN_RECEIVE : 0) |
      (port_tcp_room() >= CORE_MOST_PIECE + HOLDFAST_RECORD ? CORE_CAN_SEND : 0);
    event = core_poll(now, can);
    polled = now;
    if (event == CORE_CONNECT) connect(now);
    else if (event == CORE_CLOSE) {
      port_tcp_close();
      failed(now, core_get(R_REASON) == CORE_REFUSED + CORE_LEAVING);
    } else if (event == CORE_SEND) send();
    else if (event == CORE_MESSAGE) blocked = !hand_over(can_receive, now);
    see_state(now);
  } while (event != CORE_NONE && !engine_trap());
  settled = true;
}

bool driver_up(void) {
  return up;
}

enum driver_news driver_run(bool wifi_up, uint32_t now, uint32_t *wait) {
  wifi = wifi_up;
  now = core_time(now);
  if (!wifi && core_get(R_STATE) == CORE_IDLE && now - polled < ASLEEP) {
    if (*wait > 60000) *wait = 60000;
  } else {
    pump(now);
    port_tcp_flush();
    uint32_t core_wait = core_get(R_WAIT);
    if ((int32_t)core_wait < 0) core_wait = 0;
    if (hurries) { /* without a connection its clock may jump */
      stood -= core_wait;
      core_wait = 0;
      hurries = false;
    }
    if (core_wait < *wait) *wait = core_wait;
  }
  enum driver_news news = heard ? DRIVER_HEARD : silence ? DRIVER_SILENCE : DRIVER_NO_NEWS;
  heard = silence = false;
  return news;
}

void driver_drop(uint32_t now) {
  if (core_get(R_STATE) == CORE_IDLE) return;
  port_tcp_close();
  connecting = false;
  core_closed(core_time(now));
  went_down();
}

void driver_sleep(uint32_t now) {
  connecting = open = false;
  core_closed(core_time(now));
  tell_application();
}

void driver_opened(uint32_t now) {
  if (!connecting) return;
  connecting = false;
  open = true;
  settled = false;
  seal_begin(settings_suite(settings));
  uint8_t key[32];
  bool says_key = seal_ephemeral(key);
  now = port_ms(); /* the curve takes a while */
  core_opened(core_time(now), now + application_ahead, says_key ? key : 0);
}

void driver_closed(uint32_t now) {
  /* If the connection is refused at once, somebody has answered. */
  if (connecting && core_get(R_STATE) == CORE_CONNECTING) heard = true;
  uint32_t core_now = core_time(now);
  if (open && !settled) {
    pump(core_now);
    if (!open) return; /* the last bytes have ended it with a reason: a refusal */
  }
  core_closed(core_now);
  failed(core_now, false);
}

void driver_no_address(uint32_t now) {
  connecting = false;
  core_closed(core_time(now));
  silence = true; /* perhaps the network does not answer */
  console_begin("link down reason=NO_ADDRESS");
  if (is_local()) console_text(" name=local");
  console_end();
  take_turns();
}

size_t driver_received(const uint8_t *bytes, size_t length) {
  heard = true;
  size_t taken = 0;
  while (taken < length && open && !engine_trap()) {
    uint32_t now = core_time(port_ms());
    if (!settled) pump(now); /* only then does the core say where the next bytes go */
    if (!open) break; /* the connection has ended: drops the rest */
    size_t n = seal_receive(bytes + taken, length - taken, now);
    if (!n) break;
    settled = false;
    taken += n;
    if (!seal_broken()) continue;
    port_tcp_close();
    core_closed(now);
    failed(now, false);
  }
  return taken;
}
