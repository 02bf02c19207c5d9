/* void call_on_stack(void (*function)(void), void *top) */
    .text
    .align  4
    .global call_on_stack
    .type   call_on_stack, @function
call_on_stack:
    addi    a3, a3, -16
    s32i    a0, a3, 0
    s32i    a1, a3, 4
    mov     a1, a3
    callx0  a2
    l32i    a0, a1, 0
    l32i    a1, a1, 4
    ret
    .size   call_on_stack, . - call_on_stack
