/* Every register that the LoongArch psABI calls preserved survives every way of switching.
 *
 *     arch: loongarch64
 */
struct registers {
    unsigned long fp, s0_to_s8[9];
    unsigned long f24_to_f31[8];
    unsigned int fcsr, unused;
};

#include "poisoned.h"

static void poison(struct registers *registers, uint64_t value)
{
    uint64_t *words = (uint64_t *)registers;

    for (size_t i = 0; i < sizeof *registers / sizeof *words; i++)
        words[i] = value * 0x0101010101010101u ^ i << 56 ^ i;
    registers->fcsr = (unsigned)(value % 4) << 8; /* the rounding mode; no exception is enabled */
    registers->unused = 0;
}

/* The frame: ra, out, the caller's FCSR, and its registers at 24. */
asm(".text\n"
    ".macro each operation, float, base, offset\n"
    "\\operation $fp, \\base, \\offset\n"
    "\\operation $s0, \\base, \\offset + 8\n"
    "\\operation $s1, \\base, \\offset + 16\n"
    "\\operation $s2, \\base, \\offset + 24\n"
    "\\operation $s3, \\base, \\offset + 32\n"
    "\\operation $s4, \\base, \\offset + 40\n"
    "\\operation $s5, \\base, \\offset + 48\n"
    "\\operation $s6, \\base, \\offset + 56\n"
    "\\operation $s7, \\base, \\offset + 64\n"
    "\\operation $s8, \\base, \\offset + 72\n"
    "\\float $fs0, \\base, \\offset + 80\n"
    "\\float $fs1, \\base, \\offset + 88\n"
    "\\float $fs2, \\base, \\offset + 96\n"
    "\\float $fs3, \\base, \\offset + 104\n"
    "\\float $fs4, \\base, \\offset + 112\n"
    "\\float $fs5, \\base, \\offset + 120\n"
    "\\float $fs6, \\base, \\offset + 128\n"
    "\\float $fs7, \\base, \\offset + 136\n"
    ".endm\n"
    ".globl call_poisoned\n"
    ".type call_poisoned, @function\n"
    "call_poisoned:\n"
    "addi.d $sp, $sp, -176\n"
    "st.d $ra, $sp, 0\n"
    "st.d $a1, $sp, 8\n"
    "movfcsr2gr $t0, $fcsr0\n"
    "st.d $t0, $sp, 16\n"
    "each st.d, fst.d, $sp, 24\n"
    "move $t0, $a0\n"
    "move $t1, $a2\n"
    "ld.d $a0, $a3, 0\n"
    "ld.d $a1, $a3, 8\n"
    "ld.d $a2, $a3, 16\n"
    "each ld.d, fld.d, $t0, 0\n"
    "ld.w $t2, $t0, 144\n"
    "movgr2fcsr $fcsr0, $t2\n"
    "jirl $ra, $t1, 0\n"
    "ld.d $t0, $sp, 8\n"
    "each st.d, fst.d, $t0, 0\n"
    "movfcsr2gr $t1, $fcsr0\n"
    "st.w $t1, $t0, 144\n"
    "ld.d $t0, $sp, 16\n"
    "movgr2fcsr $fcsr0, $t0\n"
    "each ld.d, fld.d, $sp, 24\n"
    "ld.d $ra, $sp, 0\n"
    "addi.d $sp, $sp, 176\n"
    "ret\n"
    ".size call_poisoned, . - call_poisoned\n");
