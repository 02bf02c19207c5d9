/*
 * A link to a Holdfast server that outlives outages: lines of text each way, every one once and in order.
 *
 *     WiFiClient wifi;
 *     Holdfast<> holdfast(wifi);
 *
 *     void setup() {
 *       WiFi.begin("my network", "its password");
 *       holdfast.onMessage([](const char *text, size_t) { Serial.println(text); return true; });
 *       holdfast.begin("kitchen", "192.168.1.10");
 *     }
 *     void loop() {
 *       holdfast.loop();
 *       if (readingIsDue()) holdfast.write("21.5");
 *     }
 *
 * It speaks dialect 2 of the protocol. A message that was written is kept, and sent again, until the server has it in
 * its store, through any outage; a message of the server is acknowledged when `onMessage` has taken it. All memory is
 * in the object: nothing is allocated. Strings passed in must stay valid (literals do), except the texts of messages.
 */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <Arduino.h>
#include <Client.h>

#include "core/numbers.h"
#include "core/records.h"

#define HOLDFAST_PORT 8123
/* Most addresses that `begin` accepts. */
#define HOLDFAST_MOST_HOSTS 4
/* Bytes of the longest id, and of the longest name of a server. */
#define HOLDFAST_MOST_ID 64
#define HOLDFAST_MOST_HOST 63
/* Bytes of a hello's metadata, and of these with the id before and a newline behind. */
#define HOLDFAST_ABOUT 48
#define HOLDFAST_NAME (HOLDFAST_MOST_ID + HOLDFAST_ABOUT + 1)
/* Bytes of a nonce; the core turns them into digits itself. */
#define HOLDFAST_NONCE 16
/* Digits of an ephemeral key that do not fit the nonce. They follow it, in front of the id. */
#define HOLDFAST_MORE_DIGITS 32
/* Bytes of a hello with them. */
#define HOLDFAST_HELLO (91 + HOLDFAST_MORE_DIGITS + HOLDFAST_NAME)
/* Bytes of small pieces that may wait for the socket, in addition to the longest one. */
#define HOLDFAST_SMALL 64
/* Messages with a deadline that may wait at once. */
#define HOLDFAST_MOST_DEADLINES 8

/* The position in the server's stream; see `memory`. */
struct HoldfastPosition {
  uint32_t owner, epoch, next, check;
};

enum HoldfastQos : uint8_t {
  HOLDFAST_NO_QOS, /* sent if there is a link, and may be lost */
  HOLDFAST_QOS
};

/* The suite to use with a key. */
enum HoldfastSuite : uint8_t { HOLDFAST_PROVEN = 2, HOLDFAST_SEALED, HOLDFAST_EPHEMERAL };

/* Takes messages instead of a handler of `onMessage`. */
class HoldfastReceiver {
 public:
  /* Whether it can take a message now. */
  virtual bool canReceive() = 0;
  /* True: the message is taken, and is acknowledged. False: it is offered again later. */
  virtual bool receive(const char *text, size_t length) = 0;

 protected:
  ~HoldfastReceiver() = default;
};

/* A link without its memory, which `Holdfast` adds. */
class HoldfastLink {
 public:
  typedef bool (*MessageHandler)(const char *text, size_t length);
  typedef void (*StateHandler)(bool up, const char *reason);
  typedef uint32_t (*Random)();
  typedef void (*LoadPosition)(HoldfastPosition &position);
  typedef void (*SavePosition)(const HoldfastPosition &position);

  HoldfastLink(const HoldfastLink &) = delete;
  HoldfastLink &operator=(const HoldfastLink &) = delete;

  /* ---- Before `begin` ---- */

  /* The device's key, 64 hex digits, as `keys add ID` prints it; nullptr: none. Board and server prove to each other
   * that they have it, and seal everything after that. */
  void key(const char *hex) { key_text_ = hex; }
  /* False: authenticates but does not encrypt (suite 02), for links over TLS. The server must allow it: `keys add ID
   * --suite 02`. (true) */
  void seal(bool on) { suite_ = on ? HOLDFAST_SEALED : HOLDFAST_PROVEN; }
  /* Adds forward secrecy (suite 04): whoever learns the key later cannot read traffic recorded before. Each connection
   * takes two more multiplications on a curve, together 0.25 s on an ESP8266 at 80 MHz. The server must support the
   * suite; with `keys add ID --suite 04` it accepts no other. `Text` must be at least 153. (false) */
  void forwardSecrecy(bool on) { suite_ = on ? HOLDFAST_EPHEMERAL : HOLDFAST_SEALED; }
  /* Silence that counts as an outage, in ms: the same as the server's, 100 to 60000. (2000) */
  void timeout(uint32_t ms) { timeout_ = ms; }
  /* How long one call of the socket may block, in ms; 0: as the sketch has set it. (3/8 of the timeout) TLS needs more,
   * such as 15000. The ESP32's sockets ignore it: call their `setConnectionTimeout` as well. */
  void patience(uint32_t ms) { patience_ = ms; }
  /* Functions that keep the position where it survives a reset: `load` is called by `begin`, `save` before each
   * acknowledgement. Without them, messages that were on their way to the board when it was reset may come twice.
   * HoldfastMemory.h has both for some boards. `load` may return anything: data of another link are noticed. */
  void memory(LoadPosition load, SavePosition save) { load_ = load, save_ = save; }
  /* A source of 32 random bits, for boards that this library does not know. With a key, nobody must be able to guess
   * them. */
  void random(Random source) { random_ = source; }

  /* ---- Any time ---- */

  /* The handler is called with each message: its text, with a NUL at the end, is valid until it returns. True: the
   * message is taken, and acknowledged. False: it is offered again in the next `loop`, and further ones wait. Without a
   * handler all wait. */
  void onMessage(MessageHandler handler) { handler_ = handler, receiver_ = nullptr; }
  void onMessage(HoldfastReceiver &receiver) { receiver_ = &receiver, handler_ = nullptr; }
  /* The handler is called when the link is up, and with a reason such as "SILENT" when it was lost or an attempt has
   * failed. */
  void onState(StateHandler handler) { on_state_ = handler; }

  /* Starts, as this device, with these addresses of the server: each "name", "name:port" or "[IPv6]:port". All must
   * lead to one server, or to servers with one store. After an attempt without a link, the next address is tried; after
   * a lost link, the same address comes first. False if a setting is wrong: `problem` says which. A further call starts
   * again, and forgets everything that waits. */
  template <typename... More>
  bool begin(const char *id, const char *host, More... more) {
    static_assert(sizeof...(more) < HOLDFAST_MOST_HOSTS, "too many addresses");
    const char *const hosts[] = { host, more... };
    return start(id, hosts, 1 + sizeof...(more));
  }
  const char *problem() const { return problem_; }
  /* Closes the connection. Nothing happens until the next `begin`. */
  void end();

  /* Does everything that can be done now. Call it in each `loop` of the sketch. Takes as long as the socket's calls. */
  void loop();

  /* Sends a text as a message. True: it is accepted, and (with qos) arrives once, in order, unless the board is reset
   * before. False: it is empty, too long for this end or the server, has a newline or a first byte below 3; or there
   * is no room now, or (without qos) no link. */
  bool write(const char *text, HoldfastQos qos = HOLDFAST_QOS);
  bool write(const char *text, size_t length, HoldfastQos qos = HOLDFAST_QOS);
  /* The same with a deadline after this many ms, 1 to 2^31 - 1. True: it arrives, or expires and never arrives. False
   * also if HOLDFAST_MOST_DEADLINES such texts wait already. */
  bool writeWithin(const char *text, uint32_t ms);
  /* How many texts with a deadline have expired since `begin`. */
  uint32_t expired() const { return expired_; }
  /* Whether a text of this length, in bytes, would be accepted now. */
  bool canWrite(size_t length) { return room(length) != nullptr; }

  /* Whether the link is up. */
  bool connected() const { return up_; }
  /* How often it came up. */
  uint32_t connects() const;
  /* Messages written that the server has not acknowledged. */
  uint32_t pending() const;
  /* Why the last connection or attempt has ended: a name in PROTOCOL.md, "Errors". "": none has ended yet. */
  const char *reason() const;
  /* If the reason is "REFUSED", the server's code; otherwise 0. */
  uint8_t refusal() const;

 protected:
  struct Deadline {
    uint32_t number, due;
  };
  struct Sizes {
    uint32_t text, outbox, inbox;
    uint8_t window;
  };
  HoldfastLink(Client &client, const Sizes &sizes, uint32_t *memory, uint32_t memory_bytes, uint8_t *out)
      : client_(client), sizes_(sizes), memory_(memory), memory_bytes_(memory_bytes), out_(out) {}

 private:
  friend class HoldfastChannels;
  friend class HoldfastCall;
  friend struct HoldfastCore;

  bool start(const char *id, const char *const *hosts, uint8_t count);
  const char *check(const char *id, const char *const *hosts, uint8_t count);
  bool boot(const char *id);
  void restore(const char *id);
  void connect(uint32_t &now);
  void ended(bool bad_seal = false);
  bool step(uint32_t &now, uint32_t can);
  size_t read(uint8_t *to, size_t length);
  bool receive(uint32_t now);
  bool receiveRecord(size_t room, uint32_t now);
  void put(const uint8_t *piece, size_t length);
  bool flush();
  void sayKey();
  void breakOff(uint32_t now);
  void derive(const uint8_t *greeting, size_t length);
  void handOver();
  void look();
  void decide();
  uint32_t clock() const;
  uint32_t can();
  uint32_t get(uint32_t offset) const;
  void set(uint32_t offset, uint32_t value);
  char *at(uint32_t address) const { return reinterpret_cast<char *>(memory_) + address; }
  /* Where to put a text of this length, in bytes, for `send`; nullptr: there is no room now, or it is too long. */
  char *room(size_t length);
  bool send(size_t length, HoldfastQos qos);

  Client &client_;
  const Sizes sizes_;
  uint32_t *const memory_;
  const uint32_t memory_bytes_;
  uint8_t *const out_;
  /* The core's globals, of a type that only Holdfast.cpp knows. */
  void *core_[2 + 32 * 4 / sizeof(void *)];

  const char *key_text_ = nullptr;
  HoldfastSuite suite_ = HOLDFAST_SEALED;
  uint32_t timeout_ = 2000;
  uint32_t patience_ = UINT32_MAX;
  LoadPosition load_ = nullptr;
  SavePosition save_ = nullptr;
  Random random_ = nullptr;
  MessageHandler handler_ = nullptr;
  HoldfastReceiver *receiver_ = nullptr;
  StateHandler on_state_ = nullptr;
  const char *problem_ = "begin was not called";

  uint8_t key_[32];
  uint8_t secret_[32]; /* of the ephemeral key, until the welcome has arrived */
  uint32_t seal_keys_[2][8];
  struct holdfast_records records_ = {}; /* of this connection, or the last one */
  Deadline deadlines_[HOLDFAST_MOST_DEADLINES];
  const char *hosts_[HOLDFAST_MOST_HOSTS];
  HoldfastPosition position_;
  uint32_t registers_ = 0; /* their address in the memory */
  uint32_t name_ = 0;      /* address of the id, behind the second half of an ephemeral key */
  uint32_t ms_ = 0;        /* address of the digits of the time in the hello */
  uint32_t polled_ = 0;    /* the time that the core was last polled with */
  uint32_t ahead_ = 0;     /* how far its clock is ahead of the board's: pauses that were skipped, in ms */
  uint32_t up_at_ = 0;
  uint32_t expired_ = 0;
  uint16_t out_from_ = 0, out_end_ = 0;
  uint8_t host_count_ = 0, host_ = 0;
  uint8_t sent_away_ = 0; /* servers that have sent it away since a link last lasted for the timeout */
  uint8_t deadline_count_ = 0;
  bool sealed_ = false;   /* the link is, after the greeting */
  bool ephemeral_ = false; /* with ephemeral keys */
  bool proven_ = false;   /* the proof was sent: everything after it is sealed */
  bool bad_seal_ = false; /* the reason why the last connection has ended */
  bool hurries_ = false;  /* the next attempt goes to another address, without a pause */
  bool begun_ = false;
  bool inside_ = false;  /* `loop` is running: a call now comes from a handler */
  bool open_ = false;    /* there is a connection */
  bool up_ = false;      /* and a link on it */
  bool blocked_ = false; /* the handler did not take the oldest message */
};

/*
 * A link, with its memory. `Text` is the longest text in bytes, either way: 121 (with forward secrecy 153) to 16384.
 * `Outbox` is the bytes for messages that are not acknowledged yet: each takes its text and 7. `Inbox` is the bytes for
 * messages that have arrived and were not taken: each takes its text and 3. `Window` is the most messages that may wait
 * for an acknowledgement, 1 to 64.
 */
template <uint16_t Text = 256, uint32_t Outbox = 1024, uint32_t Inbox = 1024, uint8_t Window = 16>
class Holdfast : public HoldfastLink {
  static_assert(Text >= 121 && Text <= 16384, "Text: 121 to 16384");
  static_assert(Outbox >= Text + 7, "Outbox: Text + 7 at least");
  static_assert(Inbox >= 2 * (Text + 3), "Inbox: 2 * (Text + 3) at least");
  static_assert(Inbox >= Text + 94 + HOLDFAST_NAME, "Inbox: Text + 207 at least");
  static_assert(Window >= 1 && Window <= 64, "Window: 1 to 64");

 public:
  explicit Holdfast(Client &client)
      : HoldfastLink(client, { Text, Outbox, Inbox, Window }, words_, sizeof words_, pieces_) {}

 private:
  /* Fixed bytes, the name, one word of `recent`, and the queues. */
  uint32_t words_[(HF_CORE_FIXED + HOLDFAST_MORE_DIGITS + HOLDFAST_NAME + 4 + Inbox + Outbox + 3) / 4];
  /* The longest piece that is sent, in records. */
  static const uint32_t LINE = Text + 3 + HOLDFAST_RECORD * ((Text + 2) / HOLDFAST_RECORD_MOST + 1);
  uint8_t pieces_[(LINE > HOLDFAST_HELLO ? LINE : HOLDFAST_HELLO) + HOLDFAST_SMALL];
};

#endif
