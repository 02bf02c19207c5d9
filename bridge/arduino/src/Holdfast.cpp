/*
 * Drives the core with the sketch's socket. client-as/assembly/core.ts has the contract.
 */
#include "Holdfast.h"

#include <string.h>

#include "core/hmac.h"
#include "core/holdfast_core.h"
#include "HoldfastSettings.h"

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

/* Rounds of reading in one `loop`: a server that never stops sending must not keep the sketch from its work. */
#define MOST_ROUNDS 8

/* The refusal of a server that is about to stop. */
#define LEAVING 7

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
  /* Only the device's proof is of a text that ends in a newline: the whole greeting. */
  if (link->sealed_ && bytes[length - 1] == '\n') link->derive(bytes, length);
  holdfast_hmac_sha256(link->key_, sizeof link->key_, bytes, length, digest);
  char *digits = link->at(to);
  for (unsigned i = 0; i < 32; i++) digits[i] = holdfast_digit(digest[i / 2], i % 2);
}

/* The core's import. */
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

/* ---- Start and end ---- */

/* The first wrong setting; nullptr: none. */
const char *HoldfastLink::check(const char *id, const char *const *hosts, uint8_t count) {
  if (inside_) return "begin was called by a handler";
  if (!holdfast_is_id(id)) return "id: 1 to 64 bytes of UTF-8, without controls";
  for (uint8_t i = 0; i < count; i++) {
    char name[HOLDFAST_MOST_HOST + 1];
    uint16_t port;
    if (!holdfast_split(hosts[i], name, port)) return "host: a name of 1 to 63 bytes, and perhaps a port";
  }
  if (key_text_ && !holdfast_decode_key(key_text_, key_)) return "key: 64 hex digits";
  if (timeout_ < 100 || timeout_ > 60000) return "timeout: 100 to 60000 ms";
  if (key_text_ && suite_ == HOLDFAST_EPHEMERAL) {
    if (sizes_.text < 153) return "forwardSecrecy: Text must be 153 at least";
    if (sizes_.inbox < sizes_.text + 94 + HOLDFAST_MORE_DIGITS + HOLDFAST_NAME) {
      return "forwardSecrecy: Inbox must be Text + 239 at least";
    }
  }
  if (!random_) random_ = board_random;
  if (!random_) return "random: this board needs a source of it";
  return nullptr;
}

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
  sealed_ = key_text_ && suite_ >= HOLDFAST_SEALED;
  ephemeral_ = key_text_ && suite_ == HOLDFAST_EPHEMERAL;
  size_t digits = ephemeral_ ? HOLDFAST_MORE_DIGITS : 0;
  size_t id_length = strlen(id), length = id_length + sizeof ABOUT - 1;
  set(HF_CORE_TIMEOUT, timeout_);
  set(HF_CORE_DIALECT, 2);
  set(HF_CORE_SUITE, key_text_ ? suite_ : 0);
  set(HF_CORE_SEED, random_());
  set(HF_CORE_TX_EPOCH, random_() | 1);
  set(HF_CORE_RX_EPOCH, position_.epoch);
  set(HF_CORE_RX_NEXT, position_.next);
  set(HF_CORE_WINDOW, sizes_.window);
  set(HF_CORE_LINE, sizes_.text);
  set(HF_CORE_OUTBOX, sizes_.outbox);
  set(HF_CORE_INBOX, sizes_.inbox);
  set(HF_CORE_RECENT, 1);
  set(HF_CORE_ID_LEN, digits + length + 1);
  ahead_ = expired_ = 0;
  sent_away_ = deadline_count_ = 0;
  hurries_ = bad_seal_ = false;
  polled_ = millis();
  if (Z_holdfast_coreZ_init(core, 0, polled_) > memory_bytes_) return false;
  name_ = get(HF_CORE_PTR) + digits;
  memcpy(at(name_), id, id_length);
  memcpy(at(name_ + id_length), ABOUT "\n", sizeof ABOUT);
  ms_ = name_ + length - MS_DIGITS;
  return true;
}

/* Loads the position, if it belongs to this device with these servers. */
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

/* ---- The core's requests ---- */

void HoldfastLink::loop() {
  if (!begun_ || inside_) return;
  inside_ = true;
  blocked_ = false;
  uint32_t now = clock(), then = polled_;
  /* The sketch may have been busy, so what has arrived must count before timeouts do. So the core is first polled with
   * the time that it knows already: it says where the next bytes go. */
  while (open_ && step(then, 0)) {}
  receive(now);
  for (unsigned round = 0; round < MOST_ROUNDS; round++) {
    decide();
    while (begun_ && step(now, can())) {}
    bool went = flush(), came = receive(now);
    if (!went && !came) break;
  }
  while (open_ && step(now, can())) {} /* the last bytes may say why the connection ends */
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

/* The core's clock. */
uint32_t HoldfastLink::clock() const {
  return millis() + ahead_;
}

/* Polls the core, and does what it asks for; false: it asks for nothing. */
bool HoldfastLink::step(uint32_t &now, uint32_t can) {
  uint32_t event = Z_holdfast_coreZ_poll(CORE, now, can);
  polled_ = now;
  if (event == HF_CORE_CONNECT) {
    connect(now);
  } else if (event == HF_CORE_CLOSE) {
    ended();
  } else if (event == HF_CORE_SEND) {
    put(reinterpret_cast<uint8_t *>(at(get(HF_CORE_PTR))), get(HF_CORE_LEN)); /* there is room: `can` */
  } else if (event == HF_CORE_MESSAGE) {
    handOver();
  }
  look();
  if (event != HF_CORE_NONE || !hurries_) return event != HF_CORE_NONE;
  hurries_ = false;
  ahead_ += get(HF_CORE_WAIT); /* without a connection its clock may jump */
  now += get(HF_CORE_WAIT);
  return true;
}

void HoldfastLink::connect(uint32_t &now) {
  char name[HOLDFAST_MOST_HOST + 1];
  uint16_t port = 0;
  uint32_t answer = timeout_ * 3 / 8;
  holdfast_split(hosts_[host_], name, port);
  if (patience_) client_.setTimeout(patience_ == UINT32_MAX ? answer : patience_);
  bool connected = client_.connect(name, port) > 0; /* some return an error below 0 */
  uint32_t before = now;
  now = clock();
  if (connected) {
    open_ = true;
    proven_ = false;
    holdfast_records_begin(&records_, seal_keys_);
    uint32_t ms = millis();
    for (unsigned i = MS_DIGITS; i--; ms /= 10) *at(ms_ + i) = static_cast<char>('0' + ms % 10);
    if (ephemeral_) {
      sayKey();
      now = clock(); /* the curve takes a while */
    } else {
      for (unsigned i = 0; i < HOLDFAST_NONCE; i += 4) set(HF_CORE_NONCE + i, random_());
    }
    Z_holdfast_coreZ_opened(CORE, now);
  } else if (now - before < answer) {
    Z_holdfast_coreZ_closed(CORE, now);
    ended();
  } /* else nobody has answered: the core gives the attempt up at once, and no pause follows */
}

/* The connection or the attempt is over; the core knows. */
void HoldfastLink::ended(bool bad_seal) {
  client_.stop();
  open_ = false;
  bad_seal_ = bad_seal;
  out_from_ = out_end_ = 0;
  if (up_ && clock() - up_at_ >= timeout_) sent_away_ = 0;
  /* If all servers send the board away, one after the other, the core pauses as after any refusal. */
  bool leaving = refusal() == LEAVING;
  hurries_ = leaving && ++sent_away_ < host_count_;
  if (!up_ || leaving) host_ = (host_ + 1) % host_count_;
  up_ = false;
  if (on_state_) on_state_(false, reason());
}

/* Reads up to `length` bytes, and returns how many. */
size_t HoldfastLink::read(uint8_t *to, size_t length) {
  int there = client_.available();
  if (there <= 0) return 0;
  if (length > static_cast<size_t>(there)) length = there;
  int n = client_.read(to, length);
  return n <= 0 || static_cast<size_t>(n) > length ? 0 : n;
}

/* Reads what has arrived, as far as the core has room; false: nothing was read. */
bool HoldfastLink::receive(uint32_t now) {
  size_t room = open_ ? get(HF_CORE_RX_ROOM) : 0, n = 0;
  if (!room) return false;
  if (records_.keyed) return receiveRecord(room, now);
  uint8_t *to = reinterpret_cast<uint8_t *>(at(get(HF_CORE_RX_PTR)));
  if (!sealed_) n = read(to, room);
  /* Records follow the welcome: it must not read beyond that. */
  else while (n < room && (!n || to[n - 1] != '\n') && read(to + n, 1)) n++;
  if (n) Z_holdfast_coreZ_received(CORE, n, now);
  if (records_.broken) breakOff(now);
  return n;
}

/* The seal is broken: ends the connection. */
void HoldfastLink::breakOff(uint32_t now) {
  Z_holdfast_coreZ_closed(CORE, now);
  ended(true);
}

/* Reads one record, or a part of it, and opens it where the core wants its bytes; false: nothing was read. */
bool HoldfastLink::receiveRecord(size_t room, uint32_t now) {
  uint8_t *place = reinterpret_cast<uint8_t *>(at(get(HF_CORE_RX_PTR)));
  bool came = false;
  for (size_t text = 0; !text; came = true) {
    size_t size = holdfast_records_size(&records_), n = SIZE_MAX;
    uint8_t *to = holdfast_records_place(&records_, size && size <= room ? place : nullptr, &n);
    if (to) n = read(to, n);
    if (!to || !n) return came;
    text = holdfast_records_filled(&records_, n);
    if (text) {
      Z_holdfast_coreZ_received(CORE, text, now);
    } else if (records_.broken) {
      breakOff(now);
      return true;
    }
  }
  return came;
}

/* Gives waiting bytes to the socket; false: it has taken none. */
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
  bool taken = *text == 2; /* meant for the firmware: applications do not see it */
  if (!taken) {
    char behind = text[length];
    text[length] = 0;
    taken = receiver_ ? receiver_->receive(text, length) : handler_(text, length);
    text[length] = behind;
  }
  if (taken) Z_holdfast_coreZ_take(CORE);
  else blocked_ = true;
}

/* After each step: saves the position before the server can get the acknowledgement. */
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
    up_at_ = polled_;
    if (on_state_) on_state_(true, "");
  }
}

/* ---- Messages and queries ---- */

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
  if (!to || static_cast<uint8_t>(*text) < 3) return false; /* 1: a log line, 2: for the firmware */
  memcpy(to, text, length);
  return send(length, qos);
}

bool HoldfastLink::writeWithin(const char *text, uint32_t ms) {
  if (!begun_ || deadline_count_ == HOLDFAST_MOST_DEADLINES || !ms || ms > INT32_MAX) return false;
  uint32_t number = get(HF_CORE_TX_NEXT);
  if (!write(text)) return false;
  deadlines_[deadline_count_++] = { number, static_cast<uint32_t>(millis() + ms) };
  return true;
}

/* Withdraws messages whose time is up, if the server cannot have them. */
void HoldfastLink::decide() {
  uint32_t now = millis();
  uint8_t left = 0;
  for (uint8_t i = 0; i < deadline_count_; i++) {
    Deadline deadline = deadlines_[i];
    if (static_cast<int32_t>(deadline.number - get(HF_CORE_TX_FIRST)) < 0) continue; /* it has arrived */
    bool is_over = static_cast<int32_t>(now - deadline.due) >= 0;
    if (is_over && Z_holdfast_coreZ_expire(CORE, deadline.number)) expired_++;
    else deadlines_[left++] = deadline;
  }
  deadline_count_ = left;
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
  if (bad_seal_) return "BAD_SEAL";
  uint32_t reason = begun_ ? get(HF_CORE_REASON) : 0;
  return reason < sizeof reasons / sizeof *reasons ? reasons[reason] : "REFUSED";
}

uint8_t HoldfastLink::refusal() const {
  uint32_t reason = begun_ ? get(HF_CORE_REASON) : 0;
  return reason >= HF_CORE_REFUSED ? reason - HF_CORE_REFUSED : 0;
}
