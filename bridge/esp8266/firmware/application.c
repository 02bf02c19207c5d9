#include "application.h"

#include "bytes.h"
#include "console.h"
#include "hmac.h"
#include "i2c.h"
#include "port.h"
#include "seal.h"
#include "words.h"

bool (*application_configure)(const uint8_t *fields, uint32_t length);
uint32_t (*application_wifi)(void);
bool (*application_sleep)(int32_t ms);
uint32_t application_ahead IN_WORDS;
uint32_t application_woke IN_WORDS;
uint32_t application_kept_used IN_WORDS;

static uint8_t key[32];
static uint32_t interval; /* of onTick, ms; 0: never */
static uint32_t due;
static bool restart;

static bool is_pin(uint32_t pin) {
  return pin <= 16 && (pin < 6 || pin > 11);
}

static uint32_t hmac(const uint32_t *arguments) {
  const uint8_t *bytes = engine_at(arguments[0], arguments[1]);
  uint8_t *digits = engine_at(arguments[2], 32);
  if (!bytes || !digits) return 0;
  uint8_t digest[32];
  holdfast_hmac_sha256(key, sizeof key, bytes, arguments[1], digest);
  /* Only the device's proof is of a text that ends in a newline: the whole greeting. */
  if (arguments[1] && bytes[arguments[1] - 1] == '\n') seal_derive(key, bytes, arguments[1]);
  for (int i = 0; i < 32; i++) {
    uint8_t nibble = digest[i >> 1] >> (i & 1 ? 0 : 4) & 15;
    digits[i] = nibble < 10 ? '0' + nibble : 'a' - 10 + nibble;
  }
  return 0;
}

static uint32_t gpio_write(const uint32_t *arguments) {
  if (is_pin(arguments[0])) port_gpio_write(arguments[0], arguments[1] != 0);
  return 0;
}

static uint32_t gpio_read(const uint32_t *arguments) {
  return is_pin(arguments[0]) && port_gpio_read(arguments[0]);
}

static uint32_t adc_read(const uint32_t *arguments) {
  (void)arguments;
  return port_adc_read();
}

static uint32_t pwm_write(const uint32_t *arguments) {
  int32_t duty = arguments[1];
  uint32_t hz = arguments[2];
  if (!is_pin(arguments[0]) || hz < 1 || hz > 1000) return 0;
  port_pwm(arguments[0], duty < 0 ? 0 : duty > 1023 ? 1023 : duty, hz);
  return 0;
}

static uint32_t log_text(const uint32_t *arguments) {
  const uint8_t *text = engine_at(arguments[0], arguments[1]);
  if (text) console_application(text, arguments[1]);
  return 0;
}

static uint32_t millis(const uint32_t *arguments) {
  (void)arguments;
  return port_ms() + application_ahead;
}

static uint32_t random_word(const uint32_t *arguments) {
  (void)arguments;
  return port_random();
}

static uint32_t free_memory(const uint32_t *arguments) {
  (void)arguments;
  return port_free_heap();
}

static uint32_t every(const uint32_t *arguments) {
  interval = (int32_t)arguments[0] > 0 ? arguments[0] : 0;
  due = port_ms() + interval;
  return 0;
}

/* The application's I2C bus: two pins. */
static struct i2c bus;
static unsigned bus_scl, bus_sda;
static bool has_bus;

static void scl(void *board, int level) {
  (void)board;
  port_line(bus_scl, level);
}

static void sda(void *board, int level) {
  (void)board;
  port_line(bus_sda, level);
}

static int scl_level(void *board) {
  (void)board;
  return port_line_read(bus_scl);
}

static int sda_level(void *board) {
  (void)board;
  return port_line_read(bus_sda);
}

static void bus_delay(void *board, uint32_t us) {
  (void)board;
  port_delay_us(us);
}

static uint32_t i2c_begin(const uint32_t *arguments) {
  uint32_t hz = arguments[2];
  has_bus = is_pin(arguments[0]) && is_pin(arguments[1]) && arguments[0] != arguments[1] && hz >= 1000 && hz <= 400000;
  if (!has_bus) return 0;
  bus_scl = arguments[0];
  bus_sda = arguments[1];
  static const struct i2c_lines lines = { scl, sda, scl_level, sda_level, bus_delay, 0 };
  i2c_open(&bus, &lines, hz);
  return 0;
}

static uint32_t i2c_transfer(const uint32_t *arguments, bool reads) {
  uint8_t *bytes = engine_at(arguments[1], arguments[2]);
  uint32_t length = arguments[2];
  if (!has_bus || !bytes || arguments[0] > 127 || length < 1 || length > 255) return I2C_BAD;
  return reads ? i2c_receive(&bus, arguments[0], bytes, length) : i2c_send(&bus, arguments[0], bytes, length);
}

static uint32_t i2c_out(const uint32_t *arguments) {
  return i2c_transfer(arguments, false);
}

static uint32_t i2c_in(const uint32_t *arguments) {
  return i2c_transfer(arguments, true);
}

/* A part of the memory that survives resets. 0: the range is wrong. */
static uint32_t *kept_part(const uint32_t *arguments) {
  uint32_t at = arguments[0], length = arguments[2], most = PORT_KEPT_APPLICATION * 4;
  if (at > most || length > most - at || ((at | arguments[1] | length) & 3)) return 0;
  if (at + length > application_kept_used) application_kept_used = at + length;
  return engine_at(arguments[1], length);
}

static uint32_t keep(const uint32_t *arguments) {
  const uint32_t *words = kept_part(arguments);
  if (words) port_kept_write(PORT_KEPT_OWN + arguments[0] / 4, words, arguments[2] / 4);
  return words != 0;
}

static uint32_t kept(const uint32_t *arguments) {
  uint32_t *words = kept_part(arguments);
  if (words) port_kept_read(PORT_KEPT_OWN + arguments[0] / 4, words, arguments[2] / 4);
  return words != 0;
}

static uint32_t configure(const uint32_t *arguments) {
  const uint8_t *fields = engine_at(arguments[0], arguments[1]);
  return fields && application_configure && application_configure(fields, arguments[1]);
}

static uint32_t wifi(const uint32_t *arguments) {
  (void)arguments;
  return application_wifi ? application_wifi() : 0;
}

static uint32_t restart_soon(const uint32_t *arguments) {
  (void)arguments;
  restart = true;
  return 0;
}

static uint32_t sleep_soon(const uint32_t *arguments) {
  return application_sleep && application_sleep(arguments[0]);
}

static uint32_t has_woken(const uint32_t *arguments) {
  (void)arguments;
  return application_woke;
}

const struct engine_import application_imports[] = {
  { "host", "hmac", 3, false, hmac },
  { "board", "gpio_write", 2, false, gpio_write },
  { "board", "gpio_read", 1, true, gpio_read },
  { "board", "adc_read", 0, true, adc_read },
  { "board", "pwm_write", 3, false, pwm_write },
  { "board", "log", 2, false, log_text },
  { "board", "millis", 0, true, millis },
  { "board", "random", 0, true, random_word },
  { "board", "free_memory", 0, true, free_memory },
  { "board", "every", 1, false, every },
  { "board", "i2c_begin", 3, false, i2c_begin },
  { "board", "i2c_write", 3, true, i2c_out },
  { "board", "i2c_read", 3, true, i2c_in },
  { "board", "configure", 2, true, configure },
  { "board", "wifi", 0, true, wifi },
  { "board", "restart", 0, false, restart_soon },
  { "board", "keep", 3, true, keep },
  { "board", "kept", 3, true, kept },
  { "board", "sleep", 1, true, sleep_soon },
  { "board", "woke", 0, true, has_woken },
  { 0, 0, 0, false, 0 },
};

bool application_configures(void) {
  return engine_imports(configure);
}

bool application_sleeps(void) {
  return engine_imports(sleep_soon);
}

void application_key(const uint8_t *bytes) {
  if (bytes) bytes_copy(key, bytes, sizeof key);
  else bytes_fill(key, 0, sizeof key);
}

void application_reset(void) {
  interval = 0;
  restart = has_bus = false;
}

bool application_tick(uint32_t now, uint32_t *wait) {
  if (!interval) return false;
  int32_t left = due - now;
  bool is_due = left <= 0;
  if (is_due) {
    /* Once, even if it was missed several times. */
    due = (uint32_t)-left < interval ? due + interval : now + interval;
    left = due - now;
  }
  if ((uint32_t)left < *wait) *wait = left;
  return is_due;
}

bool application_wants_restart(void) {
  bool wants = restart;
  restart = false;
  return wants;
}
