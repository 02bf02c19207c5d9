/*
 * A stand-in for a board: its clock, its sockets, its RTC memory, and `main`.
 *
 *     HOLDFAST_AT     port of 127.0.0.1 to which all connections go, whatever they ask for
 *     HOLDFAST_MS     what millis() begins at
 *     HOLDFAST_SPEED  how many times as fast as real time it runs
 *     HOLDFAST_SEED   of hostile sockets; 0: ordinary ones
 *     HOLDFAST_RTC    the file that is the RTC memory
 *     HOLDFAST_EEPROM the file that is the EEPROM
 *     HOLDFAST_STDIN  there are commands on stdin, a line each: "analogue N", "pin P LEVEL"
 *
 * Prints "pin P LEVEL" when an output changes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "EEPROM.h"
#include "Ethernet.h"
#include "WiFi.h"

HardwareSerial Serial;
WiFiClass WiFi;
EthernetClass Ethernet;
EEPROMClass EEPROM;
#if defined(ESP8266)
EspClass ESP;
#elif defined(ARDUINO_ARCH_RP2040)
RP2040 rp2040;
#endif

static long setting(const char *name, long otherwise) {
  const char *value = getenv(name);
  return value ? atol(value) : otherwise;
}

static uint32_t chance_state;

/* 0 to `most` - 1; 0 if sockets are not hostile. */
static uint32_t chance(uint32_t most) {
  if (!chance_state) return 0;
  chance_state ^= chance_state << 13;
  chance_state ^= chance_state >> 17;
  chance_state ^= chance_state << 5;
  return chance_state % most;
}

/* True once in this many times, if sockets are hostile. */
static bool once_in(uint32_t times) {
  return chance_state && !chance(times);
}

uint32_t standin_random() {
  uint32_t word;
  if (getrandom(&word, sizeof word, 0) != sizeof word) abort();
  return word;
}

unsigned long millis() {
  static const long speed = setting("HOLDFAST_SPEED", 1), first = setting("HOLDFAST_MS", 0);
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  static const time_t started = now.tv_sec;
  return static_cast<uint32_t>(first + speed * ((now.tv_sec - started) * 1000 + now.tv_nsec / 1000000));
}

void delay(unsigned long ms) {
  poll(nullptr, 0, static_cast<int>(ms));
}

static uint8_t levels[256];
static int analogue = 512;

void pinMode(uint8_t, uint8_t) {}

void digitalWrite(uint8_t pin, uint8_t level) {
  if (levels[pin] == level) return;
  levels[pin] = level;
  char line[32];
  snprintf(line, sizeof line, "pin %d %d", pin, level);
  Serial.println(line);
}

int digitalRead(uint8_t pin) {
  return levels[pin];
}

int analogRead(uint8_t) {
  return analogue;
}

void EEPROMClass::begin(size_t size) {
  const char *path = getenv("HOLDFAST_EEPROM");
  memset(bytes_, 0xff, sizeof bytes_);
  file_ = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
  if (file_ >= 0 && pread(file_, bytes_, size, 0) < 0) abort();
}

bool EEPROMClass::commit() {
  return pwrite(file_, bytes_, sizeof bytes_, 0) == static_cast<ssize_t>(sizeof bytes_);
}

size_t HardwareSerial::write(const uint8_t *bytes, size_t length) {
  static char line[1024];
  static size_t waiting;
  for (size_t i = 0; i < length; i++) {
    line[waiting++] = static_cast<char>(bytes[i]);
    if (bytes[i] != '\n' && waiting < sizeof line) continue;
    if (::write(1, line, waiting) < 0) exit(0); /* the test has ended */
    waiting = 0;
  }
  return length;
}

#if defined(ESP8266)
static int rtc() {
  static const int file = open(getenv("HOLDFAST_RTC") ? getenv("HOLDFAST_RTC") : "", O_RDWR | O_CREAT, 0600);
  return file;
}

bool EspClass::rtcUserMemoryRead(uint32_t offset, uint32_t *words, size_t size) {
  return pread(rtc(), words, size, offset * 4) == static_cast<ssize_t>(size);
}

bool EspClass::rtcUserMemoryWrite(uint32_t offset, uint32_t *words, size_t size) {
  return pwrite(rtc(), words, size, offset * 4) == static_cast<ssize_t>(size);
}
#endif

/* ---- Sockets ---- */

int StandinClient::connect(const char *host, uint16_t port) {
  stop();
  if (once_in(5)) return once_in(2) ? 0 : -1;
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(setting("HOLDFAST_AT", port)));
  if (getenv("HOLDFAST_AT")) host = "127.0.0.1";
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return 0;
  socket_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1, error = 0;
  socklen_t size = sizeof error;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(socket_, reinterpret_cast<struct sockaddr *>(&address), sizeof address) && errno != EINPROGRESS) {
    stop();
    return 0;
  }
  struct pollfd ready = { socket_, POLLOUT, 0 };
  bool answered = poll(&ready, 1, static_cast<int>(_timeout)) == 1;
  if (!answered || getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
    stop();
    return 0;
  }
  lost_ = false;
  return 1;
}

size_t StandinClient::write(const uint8_t *bytes, size_t length) {
  if (socket_ < 0 || once_in(6)) return 0;
  if (chance_state) length = 1 + chance(static_cast<uint32_t>(length));
  ssize_t n = send(socket_, bytes, length, MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) lost_ = true;
  return n < 0 ? 0 : n;
}

int StandinClient::available() {
  uint8_t bytes[512];
  if (socket_ < 0 || once_in(6)) return 0;
  ssize_t n = recv(socket_, bytes, sizeof bytes, MSG_PEEK);
  if (n == 0 || (n < 0 && errno != EAGAIN)) lost_ = true;
  if (n <= 0) return 0;
  return chance_state ? 1 + static_cast<int>(chance(static_cast<uint32_t>(n))) : static_cast<int>(n);
}

int StandinClient::read(uint8_t *bytes, size_t length) {
  if (socket_ < 0 || once_in(6)) return once_in(2) ? 0 : -1;
  if (chance_state) length = 1 + chance(static_cast<uint32_t>(length));
  ssize_t n = recv(socket_, bytes, length, 0);
  if (n == 0 || (n < 0 && errno != EAGAIN)) lost_ = true;
  return static_cast<int>(n);
}

int StandinClient::read() {
  uint8_t byte;
  return read(&byte, 1) == 1 ? byte : -1;
}

void StandinClient::stop() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

uint8_t StandinClient::connected() {
  uint8_t byte;
  if (socket_ < 0) return 0;
  ssize_t n = recv(socket_, &byte, 1, MSG_PEEK);
  if (n == 0 || (n < 0 && errno != EAGAIN)) lost_ = true;
  return n > 0 || !lost_; /* as on boards, true while there is something to read */
}

/* ---- The heap ---- */

#ifdef STANDIN_NO_HEAP
/* Linked with --wrap=malloc and the like: an allocation in `setup` or later ends the program. */
static bool is_started;

extern "C" {
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);

static void look() {
  if (is_started) abort();
}

void *__wrap_malloc(size_t size) {
  look();
  return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  look();
  return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
  look();
  return __real_realloc(old, size);
}
}

void *operator new(size_t size) {
  return __wrap_malloc(size);
}
#endif

/* Carries out the commands that have arrived. */
static void obey() {
  static const bool has_input = getenv("HOLDFAST_STDIN");
  static char line[64];
  static size_t length;
  struct pollfd input = { 0, POLLIN, 0 };
  while (has_input && poll(&input, 1, 0) == 1) {
    if (length == sizeof line - 1 || read(0, line + length, 1) != 1) exit(0); /* the test has ended */
    if (line[length++] != '\n') continue;
    int a = 0, b = 0;
    line[length] = 0;
    length = 0;
    if (sscanf(line, "analogue %d", &a) == 1) analogue = a;
    else if (sscanf(line, "pin %d %d", &a, &b) == 2) levels[a] = static_cast<uint8_t>(b);
    else abort();
  }
}

int main() {
  chance_state = static_cast<uint32_t>(setting("HOLDFAST_SEED", 0));
#ifdef STANDIN_NO_HEAP
  is_started = true;
#endif
  setup();
  for (;;) {
    obey();
    loop();
    delay(1);
  }
}
