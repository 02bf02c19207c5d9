/*
 * Deploys with a power cut at each word that is written and in each sector that is erased, one run after the other.
 * After any cut the next start must find a complete application, and the server, which continues where the device says,
 * must get the intended one to run.
 */
#include "deploy_rig.h"

static struct image *wanted;
static bool fell_told; /* the server knows */
static char failure[16];

static void tell(const char *text) {
  size_t length = strlen(text);
  must(length <= 121, "a line that is short enough");
  while (!deploy_take((const uint8_t *)text, length, now)) {
    outbox_left = 1;
    deploy_answer();
  }
  outbox_left = chance() % 3; /* an outbox that is full at times */
  deploy_answer();
}

/* The device's last answer, which is acknowledged and removed. */
static const char *hear(void) {
  outbox_left = 4;
  deploy_answer();
  must(said_count > 0, "an answer");
  static char last[160];
  strcpy(last, said[said_count - 1]);
  said_count = 0;
  acked = written;
  return last;
}

static void offer(struct image *image) {
  char text[160];
  int length = snprintf(text, sizeof text, "\2o %s %u %u 0 an_application-of.32_characters", image->hash,
                        image->length, image->version);
  uint8_t digest[33] = { 0 };
  holdfast_hmac_sha256(values.key, 32, (const uint8_t *)text, length, digest);
  text[length++] = ' ';
  text_encode(digest, text + length, 22);
  text[length + 22] = 0;
  tell(text);
}

static void send_all(struct image *image, uint32_t from) {
  char text[200], data[160];
  while (from < image->length) {
    uint32_t count = 4 + chance() % 20 * 4;
    if (count > image->length - from) count = image->length - from;
    uint8_t bytes[96] = { 0 };
    memcpy(bytes, image->bytes + from, count);
    unsigned digits_count = (count * 8 + 5) / 6;
    text_encode(bytes, data, digits_count);
    data[digits_count] = 0;
    snprintf(text, sizeof text, "\2p %u %s", from, data);
    tell(text);
    from += count;
  }
  snprintf(text, sizeof text, "\2g %.8s", image->hash);
  tell(text);
}

/* One run of the device with a link, in which the deploy of `wanted` makes progress. `fate`: -1: it passes its trial;
 * otherwise the reason for which it falls back. True: the final state is right. */
static bool live(int fate) {
  uint32_t wait = 60000;
  if (slots_on_trial()) {
    must(runs(wanted), "what is on trial is what was wanted");
    if (fate == SLOT_TRAP) {
      deploy_fail(SLOT_TRAP);
      port_restart();
    }
    if (fate == SLOT_HEAP || fate == SLOT_LOAD) deploy_fail(fate);
    if (fate == SLOT_HANG || fate == SLOT_CRASH) {
      boot(fate == SLOT_HANG ? RESET_WATCHDOG : RESET_EXCEPTION);
      return false;
    }
    verdict = fate == SLOT_REFUSED ? 0 : chance() % 2 ? 1 : -1;
    deploy_run(fate != SLOT_LINK, now, &wait);
    must(wait <= (fate == SLOT_LINK ? DEPLOY_TRIAL : DEPLOY_PROVEN), "the trial has an end");
    now += DEPLOY_PROVEN - 1;
    deploy_run(fate != SLOT_LINK, now, &wait);
    must(slots_on_trial(), "not too early");
    now += fate == SLOT_LINK ? DEPLOY_TRIAL : 1;
    deploy_run(fate != SLOT_LINK, now, &wait);
    must(hear()[1] == 'k', "it is kept");
    return false;
  }
  deploy_run(true, now, &wait);
  if (state.answer == 'r') {
    must(deploy_fell_back(), "the hello says so, too");
    char text[40];
    snprintf(text, sizeof text, "\2r %.8s %s", wanted->hash, failure);
    const char *heard = hear();
    must(!strcmp(heard, text), heard);
    fell_told = true;
    deploy_run(true, now, &wait);
    must(!deploy_fell_back(), "it is reported once");
  }
  if (fate >= 0 && fell_told) {
    offer(wanted);
    must(strstr(hear(), " failed"), "not the same bytes again");
    return true;
  }
  offer(wanted);
  const char *heard = hear();
  if (heard[1] == 'k') return runs(wanted);
  if (heard[1] == 'g') {
    now += DEPLOY_DRAIN;
    deploy_run(true, now, &wait);
    fail("it restarts");
  }
  must(heard[1] == 'o', heard);
  send_all(wanted, strtoul(heard + 12, 0, 10));
  heard = hear();
  must(heard[1] == 'g', heard); /* after any cut, the stored bytes must be those sent */
  now += DEPLOY_DRAIN;
  deploy_run(true, now, &wait);
  fail("it restarts");
  return false;
}

/* A whole deploy, with the power cut at one or two operations. Returns the number of operations. */
static unsigned deploy(struct image *from, struct image *to, int fate, unsigned cut, unsigned more) {
  wanted = to;
  fell_told = false;
  operations = 0;
  cut_at = cut;
  volatile unsigned lives = 0, again = more;
  volatile enum port_reset reset = RESET_POWER_ON;
  strcpy(failure, fate < 0 ? "" : slot_reasons[fate]);
  if (setjmp(power)) {
    reset = RESET_POWER_ON;
    cut_at = again ? operations + again : 0;
    again = 0;
  }
  if (setjmp(restarted)) reset = RESET_SOFTWARE;
  must(++lives < 20, "it comes to an end");
  boot(reset);
  while (!live(fate)) must(++lives < 20, "it comes to an end");
  must(runs(fate < 0 ? to : from), "the right one runs");
  must(!malformed, "no message is malformed");
  must(!slots_on_trial(), "nothing is on trial");
  return operations;
}

int main(void) {
  values.dialect = 2;
  values.has_key = true;
  for (int i = 0; i < 32; i++) values.key[i] = i;
  make_image(&first, 4461, 3);
  make_image(&second, 5003, 3);
  make_image(&third, 4097, 4);
  unsigned runs_made = 0;
  for (int fate = -1; fate < SLOT_REASONS; fate++) {
    for (int old = 0; old < 2; old++) {
      flash_by_cable(&first, old);
      memset(erased, 0, sizeof erased);
      unsigned all = deploy(&first, &second, fate, 0, 0);
      for (unsigned i = 0; i < 256; i++) must(erased[i] <= 1, "erased once");
      /* Each operation of a good deploy, and of the ends of the others, which start in the same way. */
      for (unsigned cut = fate < 0 && !old ? 1 : all - 12; cut <= all; cut++) {
        unsigned again = fate < 0 && cut % 2 ? chance() % 50 : 0;
        flash_by_cable(&first, old);
        memset(erased, 0, sizeof erased);
        deploy(&first, &second, fate, cut, again);
        /* With one cut after the slot was erased, the pieces that were there must be used. */
        for (unsigned i = 0; i < 256 && cut > 30 && !again; i++) must(erased[i] <= 1, "erased once, also then");
        runs_made++;
        if (fate >= 0) { /* the fallen one is erased */
          deploy(&first, &third, -1, 1 + chance() % 8, 0);
          runs_made++;
        }
        if (fate < 0 && cut % 16 == 0) { /* and then back into the first slot */
          deploy(&second, &third, -1, 1 + chance() % all, chance() % 50);
          runs_made++;
        }
      }
    }
  }
  printf("%u\n", runs_made);
  return 0;
}
