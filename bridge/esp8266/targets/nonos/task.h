/* Wakes the task in which main.c runs the firmware. */
#ifndef NONOS_TASK_H
#define NONOS_TASK_H

/* Something has happened that the task is to look at. From anywhere, also from an interrupt. It runs once,
 * however often it was woken. */
void task_wake(void);

/* The first thing in the task: what happens from here on brings it round once more. */
void task_clear(void);

#endif
