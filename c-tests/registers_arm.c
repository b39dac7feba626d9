/* Every register that AAPCS32 calls preserved survives every way of switching.
 *
 *     arch: arm
 */
struct registers {
    unsigned int r4_to_r11[8];
    unsigned long long d8_to_d15[8];
    unsigned int fpscr, unused;
};

#include "poisoned.h"

static void poison(struct registers *registers, uint64_t value)
{
    uint64_t *words = (uint64_t *)registers;

    for (uint64_t i = 0; i < sizeof *registers / sizeof *words; i++)
        words[i] = value * 0x0101010101010101u ^ i << 56 ^ i;
    /* Control bits only: the default NaN, the flush to zero, and the rounding mode. */
    registers->fpscr = (unsigned)(value % 2) << 25 | (unsigned)(value % 8) << 22;
    registers->unused = 0;
}

/* The caller's FPSCR is at sp, out at sp + 4. */
asm(".text\n"
    ".syntax unified\n"
    ".arm\n"
    ".globl call_poisoned\n"
    ".type call_poisoned, %function\n"
    "call_poisoned:\n"
    "push {r4-r11, lr}\n"
    "vpush {d8-d15}\n"
    "sub sp, sp, #12\n"
    "vmrs r4, fpscr\n"
    "str r4, [sp]\n"
    "str r1, [sp, #4]\n"
    "mov r12, r0\n"
    "mov lr, r2\n"
    "ldmia r3, {r0-r2}\n"
    "ldmia r12!, {r4-r11}\n"
    "vldmia r12!, {d8-d15}\n"
    "ldr r3, [r12]\n"
    "vmsr fpscr, r3\n"
    "blx lr\n"
    "ldr r12, [sp, #4]\n"
    "stmia r12!, {r4-r11}\n"
    "vstmia r12!, {d8-d15}\n"
    "vmrs r4, fpscr\n"
    "str r4, [r12]\n"
    "ldr r4, [sp]\n"
    "vmsr fpscr, r4\n"
    "add sp, sp, #12\n"
    "vpop {d8-d15}\n"
    "pop {r4-r11, pc}\n"
    ".size call_poisoned, . - call_poisoned\n");
