/*
 * Channels of a device: what it measures, what can be switched. CHANNELS.md has the lines; literals show
 * them as they are, with their mark: "=heater" is a setting or a report, "?adc" a request, "!button" an event.
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
 * Each setting and each request is answered once: by the handler, or else that the name is unknown (no `is` was true)
 * or the value bad. A message is taken when its answer is in the outbox; none comes while there is no room for one.
 */
#ifndef HOLDFAST_CHANNELS_H
#define HOLDFAST_CHANNELS_H

#include "Holdfast.h"

class HoldfastChannels;

/* What is told of a channel: a text, a number, or nothing, as an empty text is. */
class HoldfastValue {
 public:
  HoldfastValue() : kind_(NOTHING) {}
  HoldfastValue(const char *text) : kind_(text && *text ? TEXT : NOTHING), text_(text) {}
  HoldfastValue(int number) : kind_(INTEGER), integer_(number) {}
  HoldfastValue(long number) : kind_(INTEGER), integer_(number) {}
  HoldfastValue(unsigned number) : kind_(UNSIGNED), unsigned_(number) {}
  HoldfastValue(unsigned long number) : kind_(UNSIGNED), unsigned_(number) {}
  /* With so many decimals, 0 to 6. One that is no number, or has more than nine digits in all, is not told. */
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
  /* Whether it is this: its mark and its name. ":time" and "~time" are the server's answers. */
  bool is(const char *head);
  /* Its value; "" if it has none. */
  const char *value() const { return value_; }
  /* Its value as a whole number; `otherwise`, if it is not one that fits 32 bits. */
  long integer(long otherwise) const;
  /* The number behind its name: of an answer, what `ask` has returned. */
  uint32_t tag() const;
  /* Answers a setting with what the channel is now, or a request. Only the first answer counts. */
  void answer(const HoldfastValue &value = HoldfastValue());
  /* Answers that it cannot be: "busy", "failed", "unsupported", "bad_value"; words are for people. */
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
  size_t head_ = 0;    /* bytes of mark and name; 0: it is about no channel */
  size_t tag_end_ = 0; /* an answer repeats what is between the mark and here */
  Due due_ = NONE;
};

/* The channels of a link. It takes all messages of the link. */
class HoldfastChannels : private HoldfastReceiver {
 public:
  typedef void (*CallHandler)(HoldfastCall &call);

  explicit HoldfastChannels(HoldfastLink &link) : link_(link) { link.onMessage(*this); }

  void onCall(CallHandler handler) { on_call_ = handler; }
  /* Plain lines, and those with a stamp, go here, as to a link's `onMessage`. Without a handler they are passed
   * over. */
  void onLine(HoldfastLink::MessageHandler handler) { on_line_ = handler; }

  /* Says "@application version", and perhaps the description behind it: after `link.begin`, before anything else. */
  bool begin(const char *hello);
  /* Tells of a channel: "=temp" and what it is, "!button" and perhaps how. False: there is no room now, or it is too
   * long, or an answer is due. */
  bool tell(const char *head, const HoldfastValue &value = HoldfastValue());
  /* The same with the time, by `millis()`: the server works out when that was, however late the line comes. */
  bool tellAt(const char *head, uint32_t ms, const HoldfastValue &value = HoldfastValue());
  /* Asks the server, "?time". Returns the tag that the answer will have; 0 if it was not asked. */
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
  bool due_ = false;   /* an answer is */
};

#endif
