/* Every register that the s390x ABI calls preserved survives every way of switching.
 *
 *     arch: s390x
 */
struct registers {
    unsigned long r6_to_r13[8];
    unsigned long f8_to_f15[8];
    unsigned int fpc, unused;
};

#include "poisoned.h"

static void poison(struct registers *registers, uint64_t value)
{
    uint64_t *words = (uint64_t *)registers;

    for (size_t i = 0; i < sizeof *registers / sizeof *words; i++)
        words[i] = value * 0x0101010101010101u ^ i << 56 ^ i;
    /* Valid values: the mask for inexact results, and the binary rounding mode. */
    registers->fpc = (value & 1 ? 0x08000000 : 0x04000000) | (unsigned)(value % 4);
    registers->unused = 0;
}

/* The frame: the register save area, the caller's f8 to f15 at 224, its FPC at 288, out at 304. */
asm(".text\n"
    ".macro each operation\n"
    ".irp n, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "\\operation %f\\n, 8*\\n(%r1)\n"
    ".endr\n"
    ".endm\n"
    ".globl call_poisoned\n"
    ".type call_poisoned, @function\n"
    "call_poisoned:\n"
    ".cfi_startproc\n"
    "stmg %r6, %r15, 48(%r15)\n"
    ".cfi_offset %r14, -48\n"
    ".cfi_offset %r15, -40\n"
    "aghi %r15, -320\n"
    ".cfi_adjust_cfa_offset 320\n"
    "la %r1, 160(%r15)\n"
    "each std\n"
    "stfpc 128(%r1)\n"
    "stg %r3, 304(%r15)\n"
    "lgr %r0, %r4\n"
    "lgr %r1, %r2\n"
    "lmg %r2, %r4, 0(%r5)\n"
    "lmg %r6, %r13, 0(%r1)\n"
    "each ld\n"
    "lfpc 128(%r1)\n"
    "lgr %r1, %r0\n"
    "basr %r14, %r1\n"
    "lg %r1, 304(%r15)\n"
    "stmg %r6, %r13, 0(%r1)\n"
    "each std\n"
    "stfpc 128(%r1)\n"
    "la %r1, 160(%r15)\n"
    "each ld\n"
    "lfpc 128(%r1)\n"
    "lmg %r6, %r15, 368(%r15)\n"
    ".cfi_def_cfa_offset 160\n"
    "br %r14\n"
    ".cfi_endproc\n"
    ".size call_poisoned, . - call_poisoned\n");
