/*
 * Part of fuzz_main.c: why the chip starts, and what the vendor's code reports about it.
 */
/* What the SDK keeps of the end: it is forgotten once it has started. The hardware's cause is that of the last
 * reset by the hardware, and the SDK's own restarts are none. */
static uint32_t kept_reason, hardware_cause;
static struct rst_info reset_info;
static int truth_of_reset; /* enum port_reset, or -1 */

struct rst_info *system_get_rst_info(void) { return &reset_info; }
uint32_t rtc_get_reset_reason(void) { return hardware_cause; }

static void sdk_starts(void) {
  reset_info.reason = kept_reason;
  kept_reason = REASON_DEFAULT_RST;
}

/* Also the end of its own watchdog, whose record is lost. */
void system_restart_local(void) {
  require(has_started || said); /* otherwise the reason would be lost */
  if (truth_of_reset < 0) truth_of_reset = RESET_WATCHDOG; /* the firmware's, of 20 s */
  if (kept_reason != REASON_EXCEPTION_RST) kept_reason = REASON_SOFT_RESTART;
  longjmp(reset, 1);
}

/* The chip sleeps, and wakes by its reset pin. */
bool system_deep_sleep_instant(uint64_t us) {
  require(us >= 1000 && us <= PORT_MOST_SLEEP * (uint64_t)1000 && !wifi_asked);
  kept_reason = REASON_DEEP_SLEEP_AWAKE;
  hardware_cause = 2;
  longjmp(reset, 1);
}

static void end(enum port_reset why) {
  truth_of_reset = (int)why;
  switch (why) {
    case RESET_POWER_ON:
      memset(rtc, next(), sizeof rtc);
      hardware_cause = 1;
      break;
    case RESET_EXTERNAL:
      kept_reason = REASON_EXT_SYS_RST;
      hardware_cause = 2;
      break;
    case RESET_EXCEPTION:
      kept_reason = REASON_EXCEPTION_RST;
      system_restart_local();
      break;
    default:
      /* The hardware's watchdog fires twice, the first time with an interrupt, if those are enabled. Between the two
       * the SDK's own fires, with another one. */
      if (next() & 1) kept_reason = REASON_WDT_RST;
      if (kept_reason && next() & 1) system_restart_local();
      hardware_cause = 4;
      break;
  }
  longjmp(reset, 1);
}
