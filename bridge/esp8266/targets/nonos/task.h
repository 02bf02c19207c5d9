/* Wakes the task in which main.c runs the firmware. */
#ifndef NONOS_TASK_H
#define NONOS_TASK_H

/* Wakes the task, from any code, also from an interrupt. The task runs once, even if it was woken several times. */
void task_wake(void);

/* Call it first in the task: later events make it run again. */
void task_clear(void);

#endif
