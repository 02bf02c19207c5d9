/*
 * Drives the core: carries out what it asks for, over the sketch's socket. client-as/assembly/core.ts has the contract.
 */
#include "Holdfast.h"

#include <string.h>

#include "core/hmac.h"
#include "core/holdfast_core.h"

#if defined(ESP32)
#include <esp_random.h>
#endif

#if defined(ESP8266)
#define BOARD "esp8266"
static uint32_t board_random() { return ESP.random(); }
#elif defined(ESP32)
#define BOARD "esp32"
static uint32_t board_random() { return esp_random(); }
#elif defined(ARDUINO_ARCH_RP2040) && !defined(ARDUINO_ARCH_MBED)
#define BOARD "rp2040"
static uint32_t board_random() { return rp2040.hwrand32(); }
#else
#define BOARD "arduino"
static uint32_t (*const board_random)() = nullptr;
#endif

#define ABOUT "\tversion=" HOLDFAST_VERSION " board=" BOARD " ms=0000000000"
#define MS_DIGITS 10
static_assert(sizeof ABOUT - 1 <= HOLDFAST_ABOUT, "the hello says too much");

/* Rounds of reading in one `loop`: a server that never ceases to send must not keep the sketch from its work. */
#define MOST_ROUNDS 8

struct HoldfastCore {
  static Z_holdfast_core_instance_t *of(const HoldfastLink *link) {
    return reinterpret_cast<Z_holdfast_core_instance_t *>(const_cast<void **>(link->core_));
  }
  static HoldfastLink *link(Z_host_instance_t *host) { return reinterpret_cast<HoldfastLink *>(host); }
  static void hmac(HoldfastLink *link, uint32_t at, uint32_t length, uint32_t to);
  static_assert(sizeof(Z_holdfast_core_instance_t) <= sizeof(HoldfastLink::core_), "core_ is too small");
};

#define CORE HoldfastCore::of(this)

void HoldfastCore::hmac(HoldfastLink *link, uint32_t at, uint32_t length, uint32_t to) {
  uint8_t digest[32];
  const uint8_t *bytes = reinterpret_cast<uint8_t *>(link->at(at));
  holdfast_hmac_sha256(link->key_, sizeof link->key_, bytes, length, digest);
  char *digits = link->at(to);
  for (unsigned i = 0; i < 32; i++) digits[i] = "0123456789abcdef"[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
}

/* What the core imports. */
extern "C" void Z_hostZ_hmac(Z_host_instance_t *host, u32 at, u32 length, u32 to) {
  HoldfastCore::hmac(HoldfastCore::link(host), at, length, to);
}

/* FNV-1a. */
static uint32_t hash(uint32_t before, const void *bytes, size_t length) {
  const uint8_t *from = static_cast<const uint8_t *>(bytes);
  while (length--) before = (before ^ *from++) * 0x01000193u;
  return before;
}

static uint32_t check_of(const HoldfastPosition &position) {
  return hash(0x48464b32u, &position, offsetof(HoldfastPosition, check)); /* "HFK2" */
}

/* ---- Settings ---- */

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool decode_key(const char *hex, uint8_t key[32]) {
  if (strlen(hex) != 64) return false;
  for (unsigned i = 0; i < 32; i++) {
    int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    key[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

/* Bytes of the character of UTF-8 that begins here; 0: it is malformed, or a control. */
static size_t character(const char *text) {
  const uint8_t *at = reinterpret_cast<const uint8_t *>(text);
  if (at[0] < 0x80) return at[0] >= 0x20 && at[0] != 0x7f;
  if (at[0] < 0xc2 || at[0] > 0xf4) return 0;
  size_t length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
  for (size_t i = 1; i < length; i++) {
    if ((at[i] & 0xc0) != 0x80) return 0;
  }
  uint32_t start = static_cast<uint32_t>(at[0]) << 8 | at[1];
  if (start < 0xc2a0) return 0; /* U+0080 to U+009F */
  if (start < 0xe0a0 && length == 3) return 0; /* longer than it need be, as below */
  if (start >= 0xeda0 && start < 0xee00) return 0; /* half of a pair */
  return start >= 0xf490 || (start < 0xf090 && length == 4) ? 0 : length;
}

static bool is_id(const char *id) {
  size_t length = 0;
  while (id && id[length] && length <= HOLDFAST_MOST_ID) {
    size_t n = character(id + length);
    if (!n) return false;
    length += n;
  }
  return length >= 1 && length <= HOLDFAST_MOST_ID;
}

/* Takes an address apart: a name for the socket, and a port. False: it is not an address. */
static bool split(const char *address, char name[HOLDFAST_MOST_HOST + 1], uint16_t &port) {
  if (!address) return false;
  size_t length = strlen(address);
  const char *colon = strrchr(address, ':');
  uint32_t number = HOLDFAST_PORT;
  if (colon && (strchr(address, ':') == colon || (colon > address && colon[-1] == ']'))) {
    length = colon - address;
    number = 0;
    for (const char *c = colon + 1; *c; c++) {
      if (*c < '0' || *c > '9' || number > 65535) return false;
      number = number * 10 + (*c - '0');
    }
  }
  if (length >= 2 && address[0] == '[' && address[length - 1] == ']') {
    address++;
    length -= 2;
  }
  if (!length || length > HOLDFAST_MOST_HOST || !number || number > 65535) return false;
  memcpy(name, address, length);
  name[length] = 0;
  port = static_cast<uint16_t>(number);
  return true;
}

/* What is wrong with the settings; nullptr: nothing. */
const char *HoldfastLink::check(const char *id, const char *const *hosts, uint8_t count) {
  if (inside_) return "begin was called by a handler";
  if (!is_id(id)) return "id: 1 to 64 bytes of UTF-8, without controls";
  for (uint8_t i = 0; i < count; i++) {
    char name[HOLDFAST_MOST_HOST + 1];
    uint16_t port;
    if (!split(hosts[i], name, port)) return "host: a name of 1 to 63 bytes, and perhaps a port";
  }
  if (key_text_ && !decode_key(key_text_, key_)) return "key: 64 hex digits";
  if (timeout_ < 100 || timeout_ > 60000) return "timeout: 100 to 60000 ms";
  if (!random_) random_ = board_random;
  if (!random_) return "random: this board needs a source of it";
  return nullptr;
}

/* ---- Start and end ---- */

uint32_t HoldfastLink::get(uint32_t offset) const {
  return memory_[(registers_ + offset) / 4];
}

void HoldfastLink::set(uint32_t offset, uint32_t value) {
  memory_[(registers_ + offset) / 4] = value;
}

bool HoldfastLink::start(const char *id, const char *const *hosts, uint8_t count) {
  const char *wrong = check(id, hosts, count);
  problem_ = wrong;
  if (inside_) return false;
  end();
  if (wrong) return false;
  for (uint8_t i = 0; i < count; i++) hosts_[i] = hosts[i];
  host_count_ = count;
  host_ = 0;
  begun_ = boot(id);
  if (!begun_) problem_ = "the core does not fit its memory";
  return begun_;
}

bool HoldfastLink::boot(const char *id) {
  Z_holdfast_core_instance_t *core = CORE;
  memset(core_, 0, sizeof core_);
  memset(memory_, 0, memory_bytes_);
  core->w2c_memory.data = reinterpret_cast<uint8_t *>(memory_);
  core->w2c_memory.size = memory_bytes_;
  Z_holdfast_core_init_module();
  Z_holdfast_core_instantiate(core, reinterpret_cast<Z_host_instance_t *>(this));
  registers_ = Z_holdfast_coreZ_registers(core);
  restore(id);
  size_t id_length = strlen(id), length = id_length + sizeof ABOUT - 1;
  set(HF_CORE_TIMEOUT, timeout_);
  set(HF_CORE_DIALECT, 2);
  set(HF_CORE_SUITE, key_text_ ? 2 : 0);
  set(HF_CORE_SEED, random_());
  set(HF_CORE_TX_EPOCH, random_() | 1);
  set(HF_CORE_RX_EPOCH, position_.epoch);
  set(HF_CORE_RX_NEXT, position_.next);
  set(HF_CORE_WINDOW, sizes_.window);
  set(HF_CORE_LINE, sizes_.text);
  set(HF_CORE_OUTBOX, sizes_.outbox);
  set(HF_CORE_INBOX, sizes_.inbox);
  set(HF_CORE_RECENT, 1);
  set(HF_CORE_ID_LEN, length + 1);
  polled_ = millis();
  if (Z_holdfast_coreZ_init(core, 0, polled_) > memory_bytes_) return false;
  uint32_t name = get(HF_CORE_PTR);
  memcpy(at(name), id, id_length);
  memcpy(at(name + id_length), ABOUT "\n", sizeof ABOUT);
  ms_ = name + length - MS_DIGITS;
  return true;
}

/* The position that was kept, if it is of this device with these servers. */
void HoldfastLink::restore(const char *id) {
  uint32_t owner = hash(0x811c9dc5u, id, strlen(id) + 1);
  for (uint8_t i = 0; i < host_count_; i++) owner = hash(owner, hosts_[i], strlen(hosts_[i]) + 1);
  position_ = { 0, 0, 0, 0 };
  if (load_) load_(position_);
  if (!load_ || position_.owner != owner || position_.check != check_of(position_)) position_ = { owner, 0, 0, 0 };
}

void HoldfastLink::end() {
  if (!begun_) return;
  begun_ = open_ = up_ = false;
  out_from_ = out_end_ = 0;
  Z_holdfast_coreZ_closed(CORE, polled_);
  client_.stop();
}

/* ---- What the core asks for ---- */

void HoldfastLink::loop() {
  if (!begun_ || inside_) return;
  inside_ = true;
  blocked_ = false;
  uint32_t now = millis(), then = polled_;
  /* What has come counts before the time that has passed, as the sketch may have been busy. So the core is asked first,
   * at the time that it knows already, where the next bytes go. */
  while (open_ && step(then, 0)) {}
  receive(now);
  for (unsigned round = 0; round < MOST_ROUNDS; round++) {
    while (begun_ && step(now, can())) {}
    bool went = flush(), came = receive(now);
    if (!went && !came) break;
  }
  if (open_ && client_.available() <= 0 && !client_.connected()) {
    Z_holdfast_coreZ_closed(CORE, now);
    ended();
  }
  inside_ = false;
}

uint32_t HoldfastLink::can() {
  bool takes = !blocked_ && (receiver_ ? receiver_->canReceive() : handler_ != nullptr);
  bool sends = open_ && out_end_ <= HOLDFAST_SMALL;
  return (sends ? HF_CORE_CAN_SEND : 0) | (takes ? HF_CORE_CAN_RECEIVE : 0);
}

/* Carries out one thing; false: there is none. */
bool HoldfastLink::step(uint32_t &now, uint32_t can) {
  uint32_t event = Z_holdfast_coreZ_poll(CORE, now, can);
  polled_ = now;
  if (event == HF_CORE_CONNECT) {
    connect(now);
  } else if (event == HF_CORE_CLOSE) {
    ended();
  } else if (event == HF_CORE_SEND) {
    uint32_t length = get(HF_CORE_LEN); /* there is room: `can` */
    memcpy(out_ + out_end_, at(get(HF_CORE_PTR)), length);
    out_end_ += length;
  } else if (event == HF_CORE_MESSAGE) {
    handOver();
  }
  look();
  return event != HF_CORE_NONE;
}

void HoldfastLink::connect(uint32_t &now) {
  char name[HOLDFAST_MOST_HOST + 1];
  uint16_t port = 0;
  uint32_t answer = timeout_ * 3 / 8;
  split(hosts_[host_], name, port);
  if (patience_) client_.setTimeout(patience_ == UINT32_MAX ? answer : patience_);
  bool connected = client_.connect(name, port) > 0; /* some return an error below 0 */
  uint32_t before = now;
  now = millis();
  if (connected) {
    open_ = true;
    uint32_t ms = now;
    for (unsigned i = MS_DIGITS; i--; ms /= 10) *at(ms_ + i) = static_cast<char>('0' + ms % 10);
    for (unsigned i = 0; i < 4; i++) set(HF_CORE_NONCE + i * 4, random_());
    Z_holdfast_coreZ_opened(CORE, now);
  } else if (now - before < answer) {
    Z_holdfast_coreZ_closed(CORE, now);
    ended();
  } /* else the core gives it up at once: nobody has answered, and no pause follows */
}

/* The connection, or the attempt, is over: the core knows it. */
void HoldfastLink::ended() {
  client_.stop();
  open_ = false;
  out_from_ = out_end_ = 0;
  if (!up_) host_ = (host_ + 1) % host_count_;
  up_ = false;
  if (on_state_) on_state_(false, reason());
}

bool HoldfastLink::receive(uint32_t now) {
  uint32_t room = get(HF_CORE_RX_ROOM);
  int there = open_ && room ? client_.available() : 0;
  if (there <= 0) return false;
  if (room > static_cast<uint32_t>(there)) room = there;
  int n = client_.read(reinterpret_cast<uint8_t *>(at(get(HF_CORE_RX_PTR))), room);
  if (n <= 0 || static_cast<uint32_t>(n) > room) return false;
  Z_holdfast_coreZ_received(CORE, n, now);
  return true;
}

/* Hands what waits to the socket; false: it has taken nothing. */
bool HoldfastLink::flush() {
  size_t length = out_end_ - out_from_;
  if (!open_ || !length) return false;
  size_t n = client_.write(out_ + out_from_, length);
  if (!n || n > length) return false;
  out_from_ += n;
  if (out_from_ == out_end_) out_from_ = out_end_ = 0;
  return true;
}

void HoldfastLink::handOver() {
  size_t length = get(HF_CORE_LEN);
  char *text = at(get(HF_CORE_PTR));
  bool taken = *text == 2; /* it is for a firmware: no application sees it */
  if (!taken) {
    char behind = text[length];
    text[length] = 0;
    taken = receiver_ ? receiver_->receive(text, length) : handler_(text, length);
    text[length] = behind;
  }
  if (taken) Z_holdfast_coreZ_take(CORE);
  else blocked_ = true;
}

/* After each step: the position is kept before the server can be told of it. */
void HoldfastLink::look() {
  uint32_t epoch = get(HF_CORE_RX_EPOCH), next = get(HF_CORE_RX_NEXT);
  if (epoch != position_.epoch || next != position_.next) {
    position_.epoch = epoch;
    position_.next = next;
    position_.check = check_of(position_);
    if (save_) save_(position_);
  }
  if (begun_ && !up_ && get(HF_CORE_STATE) == HF_CORE_UP) {
    up_ = true;
    if (on_state_) on_state_(true, "");
  }
}

/* ---- Messages, and what can be asked ---- */

char *HoldfastLink::room(size_t length) {
  if (!begun_ || length > sizes_.text) return nullptr;
  uint32_t address = Z_holdfast_coreZ_room(CORE, length);
  return address ? at(address) : nullptr;
}

bool HoldfastLink::send(size_t length, HoldfastQos qos) {
  return Z_holdfast_coreZ_write(CORE, length, qos);
}

bool HoldfastLink::write(const char *text, HoldfastQos qos) {
  return write(text, strlen(text), qos);
}

bool HoldfastLink::write(const char *text, size_t length, HoldfastQos qos) {
  char *to = room(length);
  if (!to || static_cast<uint8_t>(*text) < 3) return false; /* 1: a log line, 2: a firmware's */
  memcpy(to, text, length);
  return send(length, qos);
}

uint32_t HoldfastLink::connects() const {
  return begun_ ? get(HF_CORE_CONNECTS) : 0;
}

uint32_t HoldfastLink::pending() const {
  return begun_ ? get(HF_CORE_TX_NEXT) - get(HF_CORE_TX_FIRST) : 0;
}

const char *HoldfastLink::reason() const {
  static const char *const reasons[] = {
    "", "LOST", "NO_ANSWER", "NO_GREETING", "SILENT", "STALLED", "LINE_TOO_LONG",
    "BAD_LINE", "GAP", "BAD_POSITION", "BAD_GREETING", "BAD_PROOF",
  };
  uint32_t reason = begun_ ? get(HF_CORE_REASON) : 0;
  return reason < sizeof reasons / sizeof *reasons ? reasons[reason] : "REFUSED";
}

uint8_t HoldfastLink::refusal() const {
  uint32_t reason = begun_ ? get(HF_CORE_REASON) : 0;
  return reason >= HF_CORE_REFUSED ? reason - HF_CORE_REFUSED : 0;
}
