#include "HoldfastChannels.h"

#include <math.h>
#include <string.h>

/* Bytes of the longest line that is composed here: every server takes it. `begin` may send as much as a link's text. */
#define MOST 121
#define MOST_NAME 32
#define MOST_DIGITS 10

/* Composes a line in place, in the outbox. If something does not fit, the line becomes invalid. */
class HoldfastLine {
 public:
  HoldfastLine(char *room, size_t most) : at_(room), start_(room), end_(room ? room + most : room) {}
  /* 0: it does not fit. */
  size_t length() const { return start_ ? at_ - start_ : 0; }
  void byte(char c) {
    if (at_ < end_) *at_++ = c;
    else start_ = nullptr;
  }
  void text(const char *text) {
    while (*text) byte(*text++);
  }
  void bytes(const char *from, size_t length) {
    while (length--) byte(*from++);
  }
  void number(unsigned long value, uint8_t digits = 1) {
    char reversed[20];
    uint8_t count = 0;
    for (; value || count < digits; value /= 10) reversed[count++] = static_cast<char>('0' + value % 10);
    while (count) byte(reversed[--count]);
  }
  void integer(long value) {
    if (value < 0) byte('-');
    number(value < 0 ? 0ul - static_cast<unsigned long>(value) : value);
  }
  void decimal(double value, uint8_t decimals) {
    unsigned long unit = 1;
    for (uint8_t i = 0; i < decimals && i < 6; i++) unit *= 10;
    double scaled = fabs(value) * unit + 0.5;
    if (!(scaled < 1e9)) { /* also NaN */
      start_ = nullptr;
      return;
    }
    unsigned long all = static_cast<unsigned long>(scaled);
    if (value < 0 && all) byte('-');
    number(all / unit);
    if (!decimals) return;
    byte('.');
    number(all % unit, decimals < 6 ? decimals : 6);
  }
  /* Adds a space and the value; nothing if the value is nothing. */
  void value(const HoldfastValue &value) {
    if (value.kind_ == HoldfastValue::NOTHING) return;
    byte(' ');
    if (value.kind_ == HoldfastValue::TEXT) text(value.text_);
    else if (value.kind_ == HoldfastValue::INTEGER) integer(value.integer_);
    else if (value.kind_ == HoldfastValue::UNSIGNED) number(value.unsigned_);
    else decimal(value.decimal_, value.decimals_);
  }

 private:
  char *at_, *start_, *end_;
};

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_of_name(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '/' || c == '_';
}

/* ---- Receiving ---- */

HoldfastCall::HoldfastCall(HoldfastChannels &channels, const char *line, size_t length)
    : channels_(channels), line_(line) {
  char mark = *line;
  bool wants_answer = mark == '=' || mark == '?';
  if (!wants_answer && mark != '!' && mark != ':' && mark != '~') return;
  size_t at = 1;
  while (is_of_name(line[at])) at++;
  size_t head = at;
  if (head < 2 || head > 1 + MOST_NAME) return;
  if (line[at] == '.') {
    while (is_digit(line[++at])) {}
    size_t digits = at - head - 1;
    if (!digits || digits > MOST_DIGITS || mark == '!') return;
  } else if (mark == '?') {
    return; /* a request needs a tag */
  }
  if (at == length) {
    if (mark == '=') return; /* a setting needs a value */
  } else {
    if (line[at] != ' ' || at + 1 == length) return;
    value_ = line + at + 1;
  }
  head_ = head;
  tag_end_ = at;
  if (wants_answer) due_ = UNKNOWN;
}

bool HoldfastCall::is(const char *head) {
  if (strlen(head) != head_ || memcmp(head, line_, head_)) return false;
  if (due_ == UNKNOWN) due_ = BAD_VALUE;
  return true;
}

long HoldfastCall::integer(long otherwise) const {
  bool negative = *value_ == '-';
  const char *c = value_ + negative;
  if (!is_digit(*c)) return otherwise;
  uint32_t most = negative ? 0x80000000u : 0x7fffffffu, number = 0;
  for (; is_digit(*c); c++) {
    uint32_t digit = *c - '0';
    if (number > (most - digit) / 10) return otherwise;
    number = number * 10 + digit;
  }
  if (*c) return otherwise;
  return negative ? -static_cast<long>(number - 1) - 1 : static_cast<long>(number);
}

uint32_t HoldfastCall::tag() const {
  uint32_t tag = 0;
  for (size_t at = head_ + 1; at < tag_end_; at++) tag = tag * 10 + (line_[at] - '0');
  return tag;
}

void HoldfastCall::reply(char mark, const HoldfastValue &first, const char *words) {
  HoldfastLine line(channels_.link_.room(MOST), MOST);
  line.byte(mark);
  line.bytes(line_ + 1, tag_end_ - 1);
  line.value(first);
  if (words) line.value(words);
  size_t length = line.length();
  due_ = length && channels_.link_.send(length, HOLDFAST_QOS) ? ANSWERED : FAILED;
  if (due_ == ANSWERED) channels_.due_ = false;
}

void HoldfastCall::answer(const HoldfastValue &value) {
  if (due_ == UNKNOWN || due_ == BAD_VALUE) reply(':', value, nullptr);
}

void HoldfastCall::refuse(const char *code, const char *words) {
  if (due_ == UNKNOWN || due_ == BAD_VALUE) reply('~', code, words);
}

/* Gives the answer that is due, if the handler has not. False: there is no room for it any more. */
bool HoldfastCall::finish() {
  if (due_ == NONE || due_ == ANSWERED) return true;
  reply('~', due_ == UNKNOWN ? "unknown" : due_ == BAD_VALUE ? "bad_value" : "failed", nullptr);
  return due_ == ANSWERED || !channels_.link_.pending(); /* if nothing waits for an ack, there is never more room */
}

/* ---- Sending ---- */

bool HoldfastChannels::canReceive() {
  return !link_.pending() || link_.room(MOST);
}

bool HoldfastChannels::receive(const char *text, size_t length) {
  HoldfastCall call(*this, text, length);
  if (!call.head_) return on_line_ ? on_line_(text, length) : true;
  due_ = call.due_ != HoldfastCall::NONE;
  if (on_call_) on_call_(call);
  due_ = false;
  return call.finish();
}

bool HoldfastChannels::begin(const char *hello) {
  return link_.write(hello);
}

/* Sends a line. If `mark` is not 0, it and the number follow the head. */
bool HoldfastChannels::say(const char *head, char mark, uint32_t number, const HoldfastValue &value) {
  if (due_ || (*head == '=' && value.kind_ == HoldfastValue::NOTHING)) return false;
  HoldfastLine line(link_.room(MOST), MOST);
  line.text(head);
  if (mark) {
    line.byte(mark);
    line.number(number);
  }
  line.value(value);
  size_t length = line.length();
  return length && link_.send(length, HOLDFAST_QOS);
}

bool HoldfastChannels::tell(const char *head, const HoldfastValue &value) {
  return say(head, 0, 0, value);
}

bool HoldfastChannels::tellAt(const char *head, uint32_t ms, const HoldfastValue &value) {
  return say(head, '@', ms, value);
}

uint32_t HoldfastChannels::ask(const char *head, const HoldfastValue &value) {
  /* The first tag is random: an answer to a request before a reset must not match one of this run. */
  if (!asked_ && link_.random_) asked_ = link_.random_() >> 1;
  return say(head, '.', asked_ + 1, value) ? ++asked_ : 0;
}
