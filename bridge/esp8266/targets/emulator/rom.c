/* Arithmetic that the chip has in its ROM, so that Debian's libgcc lacks it. Slow and simple. */
#include <stdint.h>

struct divided {
  uint64_t quotient, rest;
};

static struct divided divide(uint64_t a, uint64_t b) {
  struct divided result = { 0, 0 };
  for (int i = 63; b && i >= 0; i--) {
    result.rest = result.rest << 1 | (a >> i & 1);
    if (result.rest < b) continue;
    result.rest -= b;
    result.quotient |= (uint64_t)1 << i;
  }
  return result;
}

static uint32_t divide32(uint32_t a, uint32_t b, uint32_t *rest) {
  uint32_t quotient = 0;
  *rest = 0;
  for (int i = 31; b && i >= 0; i--) {
    *rest = *rest << 1 | (a >> i & 1);
    if (*rest < b) continue;
    *rest -= b;
    quotient |= 1u << i;
  }
  return quotient;
}

static uint32_t magnitude(int32_t a) {
  return a < 0 ? -(uint32_t)a : (uint32_t)a;
}

static uint64_t magnitude64(int64_t a) {
  return a < 0 ? -(uint64_t)a : (uint64_t)a;
}

uint32_t __udivsi3(uint32_t a, uint32_t b) {
  uint32_t rest;
  return divide32(a, b, &rest);
}

uint32_t __umodsi3(uint32_t a, uint32_t b) {
  uint32_t rest;
  divide32(a, b, &rest);
  return rest;
}

int32_t __divsi3(int32_t a, int32_t b) {
  uint32_t result = __udivsi3(magnitude(a), magnitude(b));
  return (a < 0) == (b < 0) ? result : -result;
}

int32_t __modsi3(int32_t a, int32_t b) {
  uint32_t result = __umodsi3(magnitude(a), magnitude(b));
  return a < 0 ? -result : result;
}

uint64_t __udivdi3(uint64_t a, uint64_t b) {
  return divide(a, b).quotient;
}

uint64_t __umoddi3(uint64_t a, uint64_t b) {
  return divide(a, b).rest;
}

int64_t __divdi3(int64_t a, int64_t b) {
  uint64_t result = divide(magnitude64(a), magnitude64(b)).quotient;
  return (a < 0) == (b < 0) ? result : -result;
}

int64_t __moddi3(int64_t a, int64_t b) {
  uint64_t result = divide(magnitude64(a), magnitude64(b)).rest;
  return a < 0 ? -result : result;
}

uint64_t __muldi3(uint64_t a, uint64_t b) {
  uint64_t result = 0;
  for (; b; b >>= 1, a <<= 1) {
    if (b & 1) result += a;
  }
  return result;
}
