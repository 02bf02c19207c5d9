/* The emulated chip begins at 0x50000000. */
        .section .reset, "ax"
        .global start
        j       start
        .align  4
        .literal_position
start:
        movi    a1, stack_end
        movi    a2, vectors
        wsr     a2, vecbase
        movi    a0, main
        callx0  a0

/* The exception vectors: kernel, user, double. */
        .section .vectors, "ax"
        .align  256
        .global vectors
vectors:
        .org    vectors + 0x30
        j       crash
        .org    vectors + 0x50
        j       crash
        .org    vectors + 0x70
        j       crash
        .align  4
        .literal_position
crash:
        movi    a1, stack_end
        rsr     a2, exccause
        rsr     a3, epc1
        rsr     a4, excvaddr
        movi    a0, crashed
        jx      a0

/* A call to the emulator: number in a2, arguments in a3 to a5; the result in a2. */
        .text
        .align 4
        .global simcall
simcall:
        simcall
        ret
