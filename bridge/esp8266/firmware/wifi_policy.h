/*
 * When to join and when to leave the WiFi. No radio and no clock in it: what happens and the time go in, what to
 * do comes out. Its rules:
 *
 * - A server that is lost is no reason to leave a WiFi that is up.
 * - A WiFi is suspect if nothing answers on it: so many attempts in a row that met silence, with not a byte heard
 *   and no refusal in between (a refusal is an answer). It is left and joined again: after SUSPECT such
 *   attempts, then after twice as many, and so on up to 8 times, as the server may be what is gone.
 * - A WiFi that is lost, or could not be joined in time, is left and joined again: at once, then with pauses of
 *   0.5, 1, 2, 4 and 8 s. In time: JOIN_LIMIT until it lets the board in, and as long again until there is an address.
 * - Once it may be joined in a hurry, where and as it was before. If that fails, or the first attempt to reach the server
 *   meets silence, it is joined again at once, without.
 */
#ifndef HOLDFAST_WIFI_POLICY_H
#define HOLDFAST_WIFI_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define WIFI_SUSPECT 6
#define WIFI_JOIN_LIMIT 15000 /* ms: association; DHCP */
#define WIFI_HURRY_LIMIT 3000 /* the same of a join that need not look for its access point */

enum wifi_policy_state { WIFI_POLICY_OFF, WIFI_POLICY_JOINING, WIFI_POLICY_UP, WIFI_POLICY_PAUSED };

/* GIVE_UP: leave it, as it could not be joined in time, for an unknown reason. */
enum wifi_policy_action { WIFI_DO_NOTHING, WIFI_DO_JOIN, WIFI_DO_LEAVE, WIFI_DO_GIVE_UP };

struct wifi_policy {
  enum wifi_policy_state state;
  uint32_t since;    /* ms: when it came into this state */
  uint32_t pause;    /* ms: how long it stays in PAUSED */
  uint8_t failures;  /* to join, in a row */
  uint8_t silences;  /* attempts to reach the server that met silence, in a row */
  uint8_t limit;     /* how many of them make the WiFi suspect */
  bool hurried;      /* the join is, or was, one in a hurry */
  bool associated;   /* the last time that it joined, it was let in */
  bool leave;        /* to be left first */
};

/* From OFF on it wants to join. */
void wifi_policy_start(struct wifi_policy *policy, uint32_t now);
void wifi_policy_stop(struct wifi_policy *policy);
/* Behind `start`: the first join may be one in a hurry. */
void wifi_policy_hurry(struct wifi_policy *policy);

/* It has let the board in; it is up; it is down, or could not be joined. */
void wifi_policy_associated(struct wifi_policy *policy, uint32_t now);
void wifi_policy_up(struct wifi_policy *policy, uint32_t now);
void wifi_policy_down(struct wifi_policy *policy, uint32_t now);

/* Something was heard on it; an attempt to reach the server, or a link, ended in silence. */
void wifi_policy_heard(struct wifi_policy *policy);
void wifi_policy_silence(struct wifi_policy *policy, uint32_t now);

/* What to do now. Call it again after anything but NOTHING. *wait: ms until the next call. */
enum wifi_policy_action wifi_policy_poll(struct wifi_policy *policy, uint32_t now, uint32_t *wait);

#endif
