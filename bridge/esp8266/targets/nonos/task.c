#include "sdk.h"

#include "user_interface.h"

#include "task.h"

static volatile bool woken;

IN_IRAM void task_wake(void) {
  if (woken) return;
  woken = true;
  system_os_post(USER_TASK_PRIO_0, 0, 0);
}

void task_clear(void) {
  woken = false;
}
