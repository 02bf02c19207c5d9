#include "wifi_policy.h"

#define IDLE_WAIT 60000

static void enter(struct wifi_policy *policy, enum wifi_policy_state state, uint32_t now) {
  policy->state = state;
  policy->since = now;
}

static bool is_on(const struct wifi_policy *policy) {
  return policy->state == WIFI_POLICY_JOINING || policy->state == WIFI_POLICY_UP;
}

/* Leaves, and joins again after a pause, which grows with repeated failures. */
static void again(struct wifi_policy *policy, uint32_t now) {
  policy->leave = true;
  if (policy->hurried) policy->failures = 0;
  policy->pause = policy->failures ? 250u << policy->failures : 0;
  if (policy->failures < 5 && !policy->hurried) policy->failures++;
  policy->hurried = false;
  enter(policy, WIFI_POLICY_PAUSED, now);
}

void wifi_policy_start(struct wifi_policy *policy, uint32_t now) {
  if (is_on(policy)) policy->leave = true; /* else it was left, or `leave` is set */
  policy->failures = policy->silences = 0;
  policy->limit = WIFI_SUSPECT;
  policy->pause = 0;
  policy->hurried = false;
  enter(policy, WIFI_POLICY_PAUSED, now);
}

void wifi_policy_hurry(struct wifi_policy *policy) {
  policy->hurried = true;
}

void wifi_policy_stop(struct wifi_policy *policy) {
  if (is_on(policy)) policy->leave = true;
  policy->state = WIFI_POLICY_OFF;
}

void wifi_policy_associated(struct wifi_policy *policy, uint32_t now) {
  if (policy->state != WIFI_POLICY_JOINING || policy->associated) return;
  policy->associated = true;
  policy->since = now;
}

void wifi_policy_up(struct wifi_policy *policy, uint32_t now) {
  if (policy->state != WIFI_POLICY_JOINING) return;
  policy->silences = 0;
  enter(policy, WIFI_POLICY_UP, now);
}

void wifi_policy_down(struct wifi_policy *policy, uint32_t now) {
  if (is_on(policy)) again(policy, now);
}

void wifi_policy_heard(struct wifi_policy *policy) {
  policy->silences = policy->failures = 0;
  policy->limit = WIFI_SUSPECT;
  policy->hurried = false;
}

void wifi_policy_silence(struct wifi_policy *policy, uint32_t now) {
  if (policy->state != WIFI_POLICY_UP || (++policy->silences < policy->limit && !policy->hurried)) return;
  if (policy->limit < 8 * WIFI_SUSPECT && !policy->hurried) policy->limit *= 2;
  policy->failures = 0;
  again(policy, now);
}

enum wifi_policy_action wifi_policy_poll(struct wifi_policy *policy, uint32_t now, uint32_t *wait) {
  uint32_t passed = now - policy->since;
  *wait = IDLE_WAIT;
  uint32_t limit = policy->hurried ? WIFI_HURRY_LIMIT : WIFI_JOIN_LIMIT;
  if (policy->state == WIFI_POLICY_JOINING && passed >= limit) {
    again(policy, now);
    policy->leave = false;
    return WIFI_DO_GIVE_UP;
  }
  if (policy->leave) {
    policy->leave = false;
    return WIFI_DO_LEAVE;
  }
  if (policy->state == WIFI_POLICY_JOINING) *wait = limit - passed;
  if (policy->state != WIFI_POLICY_PAUSED) return WIFI_DO_NOTHING;
  passed = now - policy->since;
  if (passed < policy->pause) {
    *wait = policy->pause - passed;
    return WIFI_DO_NOTHING;
  }
  enter(policy, WIFI_POLICY_JOINING, now);
  policy->associated = false;
  return WIFI_DO_JOIN;
}
