/* Every register that the RISC-V psABI calls preserved survives every way of switching.
 *
 *     arch: riscv64
 */
struct registers {
    unsigned long s0_to_s11[12];
    unsigned long fs0_to_fs11[12];
    unsigned int fcsr, unused;
};

#include "poisoned.h"

static void poison(struct registers *registers, uint64_t value)
{
    uint64_t *words = (uint64_t *)registers;

    for (size_t i = 0; i < sizeof *registers / sizeof *words; i++)
        words[i] = value * 0x0101010101010101u ^ i << 56 ^ i;
    registers->fcsr = (unsigned)(value % 4) << 5 | (unsigned)(value % 32); /* the rounding mode, and the flags */
    registers->unused = 0;
}

/* The frame: ra, out, the caller's fcsr, and its registers at 32. */
asm(".text\n"
    ".macro each operation, float, base, offset\n"
    "\\operation s0, 0 + \\offset(\\base)\n"
    "\\operation s1, 8 + \\offset(\\base)\n"
    "\\operation s2, 16 + \\offset(\\base)\n"
    "\\operation s3, 24 + \\offset(\\base)\n"
    "\\operation s4, 32 + \\offset(\\base)\n"
    "\\operation s5, 40 + \\offset(\\base)\n"
    "\\operation s6, 48 + \\offset(\\base)\n"
    "\\operation s7, 56 + \\offset(\\base)\n"
    "\\operation s8, 64 + \\offset(\\base)\n"
    "\\operation s9, 72 + \\offset(\\base)\n"
    "\\operation s10, 80 + \\offset(\\base)\n"
    "\\operation s11, 88 + \\offset(\\base)\n"
    "\\float fs0, 96 + \\offset(\\base)\n"
    "\\float fs1, 104 + \\offset(\\base)\n"
    "\\float fs2, 112 + \\offset(\\base)\n"
    "\\float fs3, 120 + \\offset(\\base)\n"
    "\\float fs4, 128 + \\offset(\\base)\n"
    "\\float fs5, 136 + \\offset(\\base)\n"
    "\\float fs6, 144 + \\offset(\\base)\n"
    "\\float fs7, 152 + \\offset(\\base)\n"
    "\\float fs8, 160 + \\offset(\\base)\n"
    "\\float fs9, 168 + \\offset(\\base)\n"
    "\\float fs10, 176 + \\offset(\\base)\n"
    "\\float fs11, 184 + \\offset(\\base)\n"
    ".endm\n"
    ".globl call_poisoned\n"
    ".type call_poisoned, @function\n"
    "call_poisoned:\n"
    "addi sp, sp, -224\n"
    "sd ra, 0(sp)\n"
    "sd a1, 8(sp)\n"
    "frcsr t0\n"
    "sd t0, 16(sp)\n"
    "each sd, fsd, sp, 32\n"
    "mv t0, a0\n"
    "mv t1, a2\n"
    "ld a0, 0(a3)\n"
    "ld a1, 8(a3)\n"
    "ld a2, 16(a3)\n"
    "each ld, fld, t0, 0\n"
    "lw t2, 192(t0)\n"
    "fscsr t2\n"
    "jalr t1\n"
    "ld t0, 8(sp)\n"
    "each sd, fsd, t0, 0\n"
    "frcsr t1\n"
    "sw t1, 192(t0)\n"
    "ld t0, 16(sp)\n"
    "fscsr t0\n"
    "each ld, fld, sp, 32\n"
    "ld ra, 0(sp)\n"
    "addi sp, sp, 224\n"
    "ret\n"
    ".size call_poisoned, . - call_poisoned\n");
