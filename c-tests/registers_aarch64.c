/* Every register that AAPCS64 calls preserved survives every way of switching; FPSR, too, which belongs to the
 * context.
 *
 *     arch: aarch64
 */
struct registers {
    unsigned long x19_to_x29[11];
    unsigned long d8_to_d15[8];
    unsigned long fpcr, fpsr;
};

#include "poisoned.h"

static void poison(struct registers *registers, uint64_t value)
{
    uint64_t *words = (uint64_t *)registers;

    for (size_t i = 0; i < sizeof *registers / sizeof *words; i++)
        words[i] = value * 0x0101010101010101u ^ i << 56 ^ i;
    /* Rounding, flush to zero, default NaN, alternative half precision; the saturation and the exception flags. */
    registers->fpcr = value % 16 << 22 | value % 2 << 26;
    registers->fpsr = value % 2 << 27 | value % 32;
}

/* The frame: x29 and x30, out at 16, FPCR and FPSR at 32, and the caller's registers at 48. */
asm(".text\n"
    ".macro each operation, base, offset\n"
    "\\operation x19, x20, [\\base, #\\offset]\n"
    "\\operation x21, x22, [\\base, #\\offset + 16]\n"
    "\\operation x23, x24, [\\base, #\\offset + 32]\n"
    "\\operation x25, x26, [\\base, #\\offset + 48]\n"
    "\\operation x27, x28, [\\base, #\\offset + 64]\n"
    "\\operation d8, d9, [\\base, #\\offset + 88]\n"
    "\\operation d10, d11, [\\base, #\\offset + 104]\n"
    "\\operation d12, d13, [\\base, #\\offset + 120]\n"
    "\\operation d14, d15, [\\base, #\\offset + 136]\n"
    ".endm\n"
    ".globl call_poisoned\n"
    ".type call_poisoned, %function\n"
    "call_poisoned:\n"
    "stp x29, x30, [sp, #-208]!\n"
    "str x1, [sp, #16]\n"
    "mrs x9, fpcr\n"
    "mrs x10, fpsr\n"
    "stp x9, x10, [sp, #32]\n"
    "each stp, sp, 48\n"
    "mov x9, x0\n"
    "mov x16, x2\n"
    "ldp x0, x1, [x3]\n"
    "ldr x2, [x3, #16]\n"
    "each ldp, x9, 0\n"
    "ldr x29, [x9, #80]\n"
    "ldp x10, x11, [x9, #152]\n"
    "msr fpcr, x10\n"
    "msr fpsr, x11\n"
    "blr x16\n"
    "ldr x9, [sp, #16]\n"
    "each stp, x9, 0\n"
    "str x29, [x9, #80]\n"
    "mrs x10, fpcr\n"
    "mrs x11, fpsr\n"
    "stp x10, x11, [x9, #152]\n"
    "ldp x10, x11, [sp, #32]\n"
    "msr fpcr, x10\n"
    "msr fpsr, x11\n"
    "each ldp, sp, 48\n"
    "ldp x29, x30, [sp], #208\n"
    "ret\n"
    ".size call_poisoned, . - call_poisoned\n");
