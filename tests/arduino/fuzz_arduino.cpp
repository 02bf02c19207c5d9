/*
 * The library for Arduino, between an arbitrary sketch and an arbitrary socket. The input says what happens: its first
 * byte whether the server is honest, whether there is a key, whether the link is sealed, and whether the position is
 * kept; then come the steps. Nothing may be read or written out of bounds. With an honest server, whose
 * connections are cut anywhere and whose bytes come in any pieces, every message arrives once and in order, both ways.
 */
#include <Holdfast.h>

#include <string>

extern "C" {
#include "../firmware/fuzz/input.h"
}

#include "core/hmac.h"
#include "core/records.h"
#include "core/x25519.h"

typedef HoldfastPosition Position;

static uint32_t clock_ms, random_state, boot;
static bool honest, keyed, sealed, ephemeral, keeps;

unsigned long millis() {
  return clock_ms;
}

static uint32_t random_word() {
  return random_state = random_state * 1664525 + 1013904223;
}

static const uint8_t key[32] = { 7 };
static const char *const key_hex = "0700000000000000000000000000000000000000000000000000000000000000";

/* A message's text and length follow from its number. */
static std::string text_of(char who, uint32_t number) {
  return who + std::to_string(number) + std::string(number * 37 % 100, '.');
}

static std::string hex(uint32_t value, int digits = 8) {
  char text[9];
  snprintf(text, sizeof text, "%0*x", digits, static_cast<unsigned>(value));
  return text;
}

static uint32_t number_at(const std::string &line, size_t at, size_t digits = 8) {
  return static_cast<uint32_t>(std::stoul(line.substr(at, digits), nullptr, 16));
}

static std::string proof_of(const std::string &text) {
  uint8_t digest[32];
  holdfast_hmac_sha256(key, sizeof key, reinterpret_cast<const uint8_t *>(text.data()), text.size(), digest);
  std::string digits;
  for (int i = 0; i < 16; i++) digits += hex(digest[i], 2);
  return digits;
}

/* ---- An honest server: it sends the numbers from 0 on ---- */

struct Honest {
  uint32_t tx_first, tx_next, rx_epoch, rx_next;
  /* The device's messages: the current boot, and the next number expected. */
  uint32_t heard_boot, heard_next;
  /* Messages with a deadline: how many of this boot have arrived, and the lowest number that may come next. */
  uint32_t timed, timed_next;
  /* State of this connection. */
  std::string to_device, from_device, hello, welcome, proof;
  bool greeted, confirmed;
  uint32_t sent, window, bytes;
  uint32_t hello_epoch, hello_first;
  /* The other end of a sealed link: here the two directions are swapped. */
  holdfast_records records;
  uint32_t keys[2][8];
  uint8_t record[124];

  void tell(const std::string &text) {
    if (!sealed || !confirmed) {
      to_device += text;
      return;
    }
    holdfast_record one;
    uint8_t bytes[64];
    const uint8_t *from = reinterpret_cast<const uint8_t *>(text.data());
    holdfast_record_start(&one, &records, text.size(), bytes);
    to_device.append(reinterpret_cast<char *>(bytes), HOLDFAST_RECORD_LENGTH);
    for (size_t n; (n = holdfast_record_hide(&one, from, bytes));) to_device.append(reinterpret_cast<char *>(bytes), n);
    holdfast_record_end(&one, bytes);
    to_device.append(reinterpret_cast<char *>(bytes), HOLDFAST_RECORD_TAG);
  }

  void open() {
    to_device.clear();
    from_device.clear();
    greeted = confirmed = false;
  }

  void greet(const std::string &line) {
    require(line.size() > 91 && line[0] == 1);
    hello = line;
    greeted = true;
    uint32_t fields[7];
    for (int i = 0; i < 7; i++) fields[i] = number_at(line, 3 + 8 * i);
    require(line.substr(1, 2) == (suite()));
    hello_epoch = fields[0];
    hello_first = fields[1];
    require(hello_epoch != 0);
    uint32_t next = hello_epoch == rx_epoch && rx_next - hello_first < 0x80000000u ? rx_next : hello_first;
    if (fields[2] == 0xd1) {
      require(fields[3] <= tx_next && fields[3] >= tx_first);
      tx_first = fields[3]; /* the device has all before */
    }
    window = fields[4];
    bytes = fields[5];
    require(window >= 1 && bytes >= fields[6] + 3);
    std::string nonce = hex(random_word()) + hex(random_word()) + hex(random_word()) + hex(random_word());
    uint32_t words[] = { 0xd1, tx_first, hello_epoch, next };
    uint8_t secret[32];
    if (ephemeral) {
      uint8_t own[32];
      for (uint8_t &byte : secret) byte = random_word();
      holdfast_x25519_public(secret, own);
      nonce.clear();
      for (uint8_t byte : own) nonce += hex(byte, 2);
    }
    std::string mask = keyed ? proof_of(nonce.substr(nonce.size() - 32)) : std::string(32, '0');
    welcome = std::string(1, 2) + suite();
    for (int i = 0; i < 4; i++) welcome += hex(words[i] ^ number_at(mask, 8 * i));
    welcome += hex(8) + hex(600) + hex(121) + nonce;
    proof = keyed ? proof_of(hello + "\n" + welcome) : "";
    sent = tx_first;
    to_device += welcome + proof + "\n";
    if (!sealed) return;
    std::string said = hello + "\n" + welcome + proof + "\n";
    holdfast_records_begin(&records, keys);
    uint8_t shared[32];
    if (ephemeral) {
      for (int i = 0; i < 32; i++) shared[i] = number_at(hello, 59 + 2 * i, 2);
      holdfast_x25519(secret, shared, shared);
    }
    holdfast_records_derive(&records, 121, key, ephemeral ? shared : nullptr,
                            reinterpret_cast<const uint8_t *>(said.data()), said.size());
    std::swap(keys[0], keys[1]);
  }

  static const char *suite() { return !keyed ? "00" : ephemeral ? "04" : sealed ? "03" : "02"; }

  void confirm() {
    confirmed = true;
    if (rx_epoch == hello_epoch && rx_next - hello_first < 0x80000000u) return;
    rx_epoch = hello_epoch;
    rx_next = hello_first;
  }

  void line(const std::string &line) {
    if (!greeted) return greet(line);
    if (!confirmed) {
      confirm();
      if (keyed) {
        require(line == std::string(1, 3) + proof_of(hello + "\n" + welcome + proof + "\n"));
        return;
      }
    }
    if (line.empty()) return;
    uint32_t id = number_at(line, 0, 2);
    if (line.size() == 2) {
      while ((tx_first & 255) != ((id + 1) & 255)) {
        require(tx_first != sent);
        tx_first++;
      }
      return;
    }
    require(id == (rx_next & 255));
    rx_next++;
    std::string text = line.substr(2);
    if (!text[0] || text[0] == 'q') return; /* withdrawn, or sent without qos */
    if (text[0] == 't') {
      if (static_cast<uint8_t>(text[1]) - 0x80u != boot) return; /* from before the reset */
      uint32_t number = static_cast<uint32_t>(std::stoul(text.substr(2)));
      require(number >= timed_next);
      timed_next = number + 1;
      timed++;
      return;
    }
    std::string start = text.substr(0, 1);
    uint32_t of = static_cast<uint8_t>(text[0]) - 0x80u;
    if (of != heard_boot) {
      require(of > heard_boot); /* missing messages of the boot before were never reported as sent */
      heard_boot = of;
      heard_next = 0;
    }
    require(text == text_of(text[0], heard_next++));
  }

  void hear(char byte) {
    if (byte != '\n') {
      from_device += byte;
      return;
    }
    std::string whole;
    whole.swap(from_device);
    line(whole);
  }

  void hear(const uint8_t *from, size_t length) {
    for (size_t i = 0; i < length; i++) {
      if (!sealed || !confirmed) {
        hear(static_cast<char>(from[i]));
        continue;
      }
      size_t n = 1;
      uint8_t *to = holdfast_records_place(&records, holdfast_records_size(&records) ? record : nullptr, &n);
      require(to && n == 1);
      *to = from[i];
      size_t size = holdfast_records_filled(&records, 1);
      require(!records.broken);
      for (size_t j = 0; j < size; j++) hear(static_cast<char>(record[j]));
    }
    if (confirmed) tell(hex((rx_next - 1) & 255, 2) + "\n"); /* may repeat the last ack */
  }

  void say() {
    if (!confirmed) return;
    uint32_t in_flight = 0;
    for (uint32_t n = tx_first; n != sent; n++) in_flight += static_cast<uint32_t>(text_of('s', n).size()) + 3;
    while (sent != tx_next && sent - tx_first < window) {
      std::string text = text_of('s', sent);
      in_flight += static_cast<uint32_t>(text.size()) + 3;
      if (in_flight > bytes && sent != tx_first) return;
      tell(hex(sent++ & 255, 2) + text + "\n");
    }
  }
};

static Honest server;

/* ---- A socket that does anything ---- */

class Socket : public Client {
 public:
  bool open = false, lost = false;

  int connect(IPAddress, uint16_t) override { return 0; }
  int connect(const char *host, uint16_t port) override {
    require(!strcmp(host, "here") && (port == 8123 || port == 1));
    unsigned how = next();
    if (how & 8) clock_ms += how * 4; /* connecting takes time, successful or not */
    if (how % 4 == 1) return how & 4 ? 0 : -1;
    open = true;
    lost = false;
    server.open();
    return 1;
  }
  size_t write(uint8_t byte) override { return write(&byte, 1); }
  size_t write(const uint8_t *from, size_t length) override {
    require(open && length);
    unsigned how = next();
    if (how % 4 == 1) return 0;
    if (how % 4 == 2) length = 1 + how % length;
    if (honest && !lost) server.hear(from, length);
    return length;
  }
  int available() override {
    if (!open) return 0;
    unsigned how = next();
    if (how % 8 == 1) return how & 8 ? 0 : -1;
    if (!honest) return static_cast<int>(how);
    size_t there = server.to_device.size();
    return there && how % 4 == 2 ? 1 + how % static_cast<int>(there) : static_cast<int>(there);
  }
  int read() override { return -1; }
  int read(uint8_t *to, size_t length) override {
    require(open && length);
    unsigned how = next();
    if (how % 8 == 1) return how & 8 ? 0 : -1;
    if (how % 4 == 2) length = 1 + how % length;
    if (honest) {
      length = server.to_device.copy(reinterpret_cast<char *>(to), length);
      server.to_device.erase(0, length);
      return static_cast<int>(length);
    }
    for (size_t i = 0; i < length; i++) to[i] = static_cast<uint8_t>(next());
    return static_cast<int>(length);
  }
  int peek() override { return -1; }
  void flush() override {}
  void stop() override { open = false; }
  uint8_t connected() override { return open && !lost; }
  operator bool() override { return open; }
};

/* ---- A sketch that does anything ---- */

static Socket *wire;
static Holdfast<153, 300, 400, 8> *holdfast;
static uint32_t written, timed, taken, taken_least;
static bool is_ended;
static Position kept;

static void write_one() {
  std::string text = text_of(static_cast<char>(0x80 + boot), written);
  if (holdfast->write(text.data(), text.size())) written++;
}

static bool got(const char *text, size_t length) {
  require(strlen(text) <= length && text[length] == 0);
  unsigned how = next();
  if (how % 4 == 1) return false;
  if (how % 4 == 2) write_one();
  if (how % 32 == 3) {
    holdfast->loop();
    require(!holdfast->begin("board", "here")); /* not allowed in a handler */
  }
  if (how % 32 == 7) {
    holdfast->end();
    is_ended = true;
    return true; /* too late for an ack: the server sends it again */
  }
  if (honest) {
    if (std::string(text, length) != text_of('s', taken)) {
      /* After a reset that lost the position, the server sends again what was not acknowledged. */
      uint32_t again = static_cast<uint32_t>(std::stoul(text + 1));
      require(again < taken && again >= taken_least && std::string(text, length) == text_of('s', again));
      taken = again;
    }
    taken_least = ++taken;
  }
  return true;
}

static void start() {
  boot++;
  if (boot == 0x7f) left = 0; /* no first bytes are left */
  written = timed = server.timed = server.timed_next = 0;
  is_ended = false;
  taken_least = keeps && honest ? taken : server.tx_first;
  holdfast->key(keyed ? key_hex : nullptr);
  holdfast->seal(sealed);
  if (ephemeral) holdfast->forwardSecrecy(true);
  holdfast->timeout(1000);
  holdfast->random(random_word);
  holdfast->onMessage(got);
  if (keeps) {
    holdfast->memory([](Position &position) { position = kept; }, [](const Position &position) { kept = position; });
  } else {
    holdfast->memory(nullptr, nullptr);
  }
  require(holdfast->begin("board", "here", "[here]:1"));
}

static void act(unsigned what) {
  switch (what % 8) {
    case 0: clock_ms += next(); return;
    case 1: clock_ms += next() * 16; return;
    case 2: write_one(); return;
    case 3:
      if (honest) server.tx_next++, server.say();
      return;
    case 4: wire->lost = true; server.to_device.clear(); return;
    case 5: {
      std::string text(next(), static_cast<char>(next()));
      if (!text.empty() && text[0] == 'q') holdfast->write(text.data(), text.size(), HOLDFAST_NO_QOS);
      else require(text.empty() || static_cast<uint8_t>(text[0]) > 2 || !holdfast->write(text.data(), text.size()));
      return;
    }
    case 6:
      if (what == 6) start();
      if (what == 14 && honest && server.confirmed) server.tell("\00407\n"); /* the server is stopping */
      if (what >= 200) {
        std::string text = std::string("t") + static_cast<char>(0x80 + boot) + std::to_string(timed);
        if (holdfast->writeWithin(text.c_str(), 1 + 8 * next())) timed++;
      }
      return;
    default:
      if (honest) server.say();
      return;
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  input = bytes;
  left = length;
  unsigned how = next();
  honest = how & 1;
  keyed = how & 2;
  sealed = keyed && how & 16;
  ephemeral = sealed && (how & 96) == 96; /* seldom, because X25519 is slow */
  keeps = how & 4;
  clock_ms = how & 8 ? 0xffffff00u : 0;
  random_state = how;
  boot = taken = written = 0;
  is_ended = false;
  memset(&kept, how, sizeof kept);
  server = Honest();
  wire = new Socket();
  holdfast = new Holdfast<153, 300, 400, 8>(*wire);
  start();
  while (left) {
    act(next());
    holdfast->loop();
    server.say();
    if (is_ended) start();
  }
  if (honest) { /* no more faults: all must arrive */
    for (int i = 0; i < 600 && (server.tx_first != server.tx_next || holdfast->pending()); i++) {
      clock_ms += 20;
      holdfast->loop();
      server.say();
    }
    require(server.tx_first == server.tx_next && taken == server.tx_next);
    require(server.timed + holdfast->expired() == timed);
    require(!holdfast->pending() && (written == 0 || (server.heard_boot == boot && server.heard_next == written)));
  }
  holdfast->end();
  delete holdfast;
  delete wire;
  return 0;
}
