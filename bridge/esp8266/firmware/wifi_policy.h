/*
 * Decides when to join and when to leave the WiFi. It has no radio and no clock: events and the time go in, actions
 * come out. Its rules:
 *
 * - The loss of the server is no reason to leave a WiFi that is up.
 * - A WiFi is suspect if nothing answers on it: a number of attempts in a row got no answer, without a received byte or
 *   a refusal in between (a refusal is an answer). It is left and joined again: after SUSPECT such attempts, then after
 *   twice as many, and so on up to 8 times, as the cause may be the server.
 * - A WiFi that was lost, or not joined in time, is left and joined again: at once, then with pauses of 0.5, 1, 2, 4
 *   and 8 s. The limits are JOIN_LIMIT until it admits the board, and again JOIN_LIMIT until there is an address.
 * - The first join may be a hurried one, with the access point and address of before. If that fails, or the first
 *   attempt to reach the server gets no answer, the WiFi is joined again at once in the normal way.
 */
#ifndef HOLDFAST_WIFI_POLICY_H
#define HOLDFAST_WIFI_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define WIFI_SUSPECT 6
#define WIFI_JOIN_LIMIT 15000 /* ms: association; DHCP */
#define WIFI_HURRY_LIMIT 3000 /* the same for a hurried join, which need not search for its access point */

enum wifi_policy_state { WIFI_POLICY_OFF, WIFI_POLICY_JOINING, WIFI_POLICY_UP, WIFI_POLICY_PAUSED };

/* GIVE_UP: leave it, as it was not joined in time, for an unknown reason. */
enum wifi_policy_action { WIFI_DO_NOTHING, WIFI_DO_JOIN, WIFI_DO_LEAVE, WIFI_DO_GIVE_UP };

struct wifi_policy {
  enum wifi_policy_state state;
  uint32_t since;    /* ms: when it entered this state */
  uint32_t pause;    /* ms: how long it stays in PAUSED */
  uint8_t failures;  /* to join, in a row */
  uint8_t silences;  /* attempts to reach the server without an answer, in a row */
  uint8_t limit;     /* how many of them make the WiFi suspect */
  bool hurried;      /* the join is, or was, a hurried one */
  bool associated;   /* the last join was admitted */
  bool leave;        /* must leave first */
};

/* Starts and stops joining. */
void wifi_policy_start(struct wifi_policy *policy, uint32_t now);
void wifi_policy_stop(struct wifi_policy *policy);
/* After `start`: makes the first join a hurried one. */
void wifi_policy_hurry(struct wifi_policy *policy);

/* The WiFi has admitted the board; it is up; it is down, or was not joined. */
void wifi_policy_associated(struct wifi_policy *policy, uint32_t now);
void wifi_policy_up(struct wifi_policy *policy, uint32_t now);
void wifi_policy_down(struct wifi_policy *policy, uint32_t now);

/* Something was received; an attempt to reach the server, or a link, ended without an answer. */
void wifi_policy_heard(struct wifi_policy *policy);
void wifi_policy_silence(struct wifi_policy *policy, uint32_t now);

/* The action to take now. Call it again after any action but NOTHING. *wait: ms until the next call. */
enum wifi_policy_action wifi_policy_poll(struct wifi_policy *policy, uint32_t now, uint32_t *wait);

#endif
