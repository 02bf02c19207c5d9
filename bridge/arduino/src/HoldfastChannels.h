/*
 * Channels of a device: what it measures, what can be switched. CHANNELS.md describes the lines. Names are written with
 * their mark, as in the lines: "=heater" is a setting or a report, "?adc" a request, "!button" an event.
 *
 *     HoldfastChannels channels(holdfast);
 *
 *     void setup() {
 *       channels.onCall([](HoldfastCall &call) {
 *         if (call.is("=heater")) {
 *           long wanted = call.integer(-1);
 *           if (wanted == 0 || wanted == 1) {
 *             digitalWrite(HEATER, wanted);
 *             call.answer(wanted);
 *           }
 *         } else if (call.is("?adc")) {
 *           call.answer(analogRead(A0));
 *         }
 *       });
 *       holdfast.begin("kitchen", "192.168.1.10");
 *       channels.begin("@kitchen 3"); // application and version: the first line after a start
 *     }
 *     void loop() {
 *       holdfast.loop();
 *       if (readingIsDue()) channels.tell("=temp", HoldfastValue(21.5, 1));
 *     }
 *
 * Each setting and each request is answered once: by the handler, or else with "unknown" (no `is` was true) or
 * "bad_value". A message is taken when its answer is in the outbox; while there is no room for one, no message comes.
 */
#ifndef HOLDFAST_CHANNELS_H
#define HOLDFAST_CHANNELS_H

#include "Holdfast.h"

class HoldfastChannels;

/* A channel's value: a text, a number, or nothing. An empty text counts as nothing. */
class HoldfastValue {
 public:
  HoldfastValue() : kind_(NOTHING) {}
  HoldfastValue(const char *text) : kind_(text && *text ? TEXT : NOTHING), text_(text) {}
  HoldfastValue(int number) : kind_(INTEGER), integer_(number) {}
  HoldfastValue(long number) : kind_(INTEGER), integer_(number) {}
  HoldfastValue(unsigned number) : kind_(UNSIGNED), unsigned_(number) {}
  HoldfastValue(unsigned long number) : kind_(UNSIGNED), unsigned_(number) {}
  /* With this many decimals, 0 to 6. Infinity, NaN and a number of more than nine digits in all are not sent. */
  HoldfastValue(double number, uint8_t decimals = 2) : kind_(DECIMAL), decimals_(decimals), decimal_(number) {}

 private:
  friend class HoldfastLine;
  friend class HoldfastChannels;
  enum Kind : uint8_t { NOTHING, TEXT, INTEGER, UNSIGNED, DECIMAL };
  Kind kind_;
  uint8_t decimals_ = 0;
  union {
    const char *text_;
    long integer_;
    unsigned long unsigned_;
    double decimal_;
  };
};

/* A message about a channel, while its handler runs. */
class HoldfastCall {
 public:
  /* Whether it has this mark and name. ":time" and "~time" are the server's answers. */
  bool is(const char *head);
  /* Its value; "" if it has none. */
  const char *value() const { return value_; }
  /* Its value as a whole number; `otherwise` if it is not one that fits 32 bits. */
  long integer(long otherwise) const;
  /* The number behind its name; in an answer, the one that `ask` has returned. */
  uint32_t tag() const;
  /* Answers a request, or a setting with the channel's value now. Only the first answer counts. */
  void answer(const HoldfastValue &value = HoldfastValue());
  /* Answers with an error: "busy", "failed", "unsupported" or "bad_value"; `words` are for people. */
  void refuse(const char *code, const char *words = nullptr);

 private:
  friend class HoldfastChannels;
  enum Due : uint8_t { NONE, UNKNOWN, BAD_VALUE, ANSWERED, FAILED };
  HoldfastCall(HoldfastChannels &channels, const char *line, size_t length);
  void reply(char mark, const HoldfastValue &first, const char *words);
  bool finish();

  HoldfastChannels &channels_;
  const char *line_;
  const char *value_ = "";
  size_t head_ = 0;    /* bytes of mark and name; 0: not about a channel */
  size_t tag_end_ = 0; /* an answer repeats the bytes between the mark and here */
  Due due_ = NONE;
};

/* The channels of a link. It takes all messages of the link. */
class HoldfastChannels : private HoldfastReceiver {
 public:
  typedef void (*CallHandler)(HoldfastCall &call);

  explicit HoldfastChannels(HoldfastLink &link) : link_(link) { link.onMessage(*this); }

  void onCall(CallHandler handler) { on_call_ = handler; }
  /* Called with plain lines and those with a stamp, like a link's `onMessage`. Without a handler they are ignored. */
  void onLine(HoldfastLink::MessageHandler handler) { on_line_ = handler; }

  /* Sends "@application version", perhaps with the description behind: after `link.begin`, before anything else. */
  bool begin(const char *hello);
  /* Reports a channel's value, "=temp", or an event, "!button", perhaps with a value. False: there is no room now, it
   * is too long, or an answer is due. */
  bool tell(const char *head, const HoldfastValue &value = HoldfastValue());
  /* The same with the time of `millis()`: the server knows when it was measured, however late the line arrives. */
  bool tellAt(const char *head, uint32_t ms, const HoldfastValue &value = HoldfastValue());
  /* Asks the server: "?time". Returns the tag that the answer will have; 0 if it could not be sent. */
  uint32_t ask(const char *head, const HoldfastValue &value = HoldfastValue());

 private:
  friend class HoldfastCall;
  bool canReceive() override;
  bool receive(const char *text, size_t length) override;
  bool say(const char *head, char mark, uint32_t number, const HoldfastValue &value);

  HoldfastLink &link_;
  CallHandler on_call_ = nullptr;
  HoldfastLink::MessageHandler on_line_ = nullptr;
  uint32_t asked_ = 0; /* the tag of the last request */
  bool due_ = false;   /* an answer must be given first */
};

#endif
