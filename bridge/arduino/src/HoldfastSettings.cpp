#include "HoldfastSettings.h"

#include <string.h>

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool holdfast_decode_key(const char *hex, uint8_t key[32]) {
  if (strlen(hex) != 64) return false;
  for (unsigned i = 0; i < 32; i++) {
    int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    key[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

/* Bytes of the UTF-8 character that begins here; 0: it is malformed, or a control character. */
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
  if (start < 0xe0a0 && length == 3) return 0; /* overlong, as below */
  if (start >= 0xeda0 && start < 0xee00) return 0; /* half of a surrogate pair */
  return start >= 0xf490 || (start < 0xf090 && length == 4) ? 0 : length;
}

bool holdfast_is_id(const char *id) {
  size_t length = 0;
  while (id && id[length] && length <= HOLDFAST_MOST_ID) {
    size_t n = character(id + length);
    if (!n) return false;
    length += n;
  }
  return length >= 1 && length <= HOLDFAST_MOST_ID;
}

bool holdfast_split(const char *address, char name[HOLDFAST_MOST_HOST + 1], uint16_t &port) {
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

char holdfast_digit(uint8_t byte, bool low) {
  return "0123456789abcdef"[byte >> (low ? 0 : 4) & 15];
}
