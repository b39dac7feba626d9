/* Every register that the ELFv2 ABI calls nonvolatile survives every way of switching.
 *
 *     arch: powerpc64
 */
struct registers {
    unsigned long r14_to_r31[18];
    unsigned long f14_to_f31[18];
    unsigned long v20_to_v31[24];
    unsigned long fpscr;
    unsigned long cr2_to_cr4; /* the fields where mfcr has them */
};

#include "poisoned.h"

static void poison(struct registers *registers, uint64_t value)
{
    uint64_t *words = (uint64_t *)registers;

    for (size_t i = 0; i < sizeof *registers / sizeof *words; i++)
        words[i] = value * 0x0101010101010101u ^ i << 56 ^ i;
    /* The decimal and the binary rounding mode, and the enable bit for inexact results. */
    registers->fpscr = (value % 8) << 32 | (value & 4 ? 0x08 : 0) | value % 4;
    /* The sigreturn of qemu-user (7.2 to 9 at least) loses the upper half. */
    if (function == (void *)raise)
        registers->fpscr = (uint32_t)registers->fpscr;
    registers->cr2_to_cr4 &= 0x00fff000;
}

/* The frame: the header, struct registers of the caller at 32, out at 528; LR and CR in the caller's header. */
asm(".text\n"
    ".macro each_r operation, first, base\n"
    ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "\\operation \\n, \\first+8*(\\n-14)(\\base)\n"
    ".endr\n"
    ".endm\n"
    ".macro each_v operation, first, base\n"
    ".irp n, 20,21,22,23,24,25,26,27,28,29,30,31\n"
    "li 11, \\first+16*(\\n-20)\n"
    "\\operation 32+\\n, 11, \\base\n"
    ".endr\n"
    ".endm\n"
    ".macro all_stored first, base\n"
    "each_r std, \\first, \\base\n"
    "each_r stfd, \\first+144, \\base\n"
    "each_v stxvd2x, \\first+288, \\base\n"
    "mffs 0\n"
    "stfd 0, \\first+480(\\base)\n"
    ".endm\n"
    ".macro all_loaded first, base\n"
    "lfd 0, \\first+480(\\base)\n"
    "mtfsf 255, 0, 1, 0\n"
    "each_v lxvd2x, \\first+288, \\base\n"
    "each_r lfd, \\first+144, \\base\n"
    "each_r ld, \\first, \\base\n"
    ".endm\n"
    ".globl call_poisoned\n"
    ".type call_poisoned, @function\n"
    "call_poisoned:\n"
    "0: addis 2, 12, .TOC.-0b@ha\n"
    "addi 2, 2, .TOC.-0b@l\n"
    ".localentry call_poisoned, .-call_poisoned\n"
    ".cfi_startproc\n"
    "mflr 0\n"
    "mfcr 12\n"
    "std 0, 16(1)\n"
    ".cfi_offset 65, 16\n"
    "stw 12, 8(1)\n"
    "stdu 1, -544(1)\n"
    ".cfi_adjust_cfa_offset 544\n"
    "all_stored 32, 1\n"
    "std 4, 528(1)\n"
    "std 2, 24(1)\n"
    "mr 12, 5\n"
    "ld 0, 488(3)\n"
    "mtcrf 0x38, 0\n"
    "mr 10, 3\n"
    "ld 3, 0(6)\n"
    "ld 4, 8(6)\n"
    "ld 5, 16(6)\n"
    "all_loaded 0, 10\n"
    "mtctr 12\n"
    "bctrl\n"
    "ld 2, 24(1)\n"
    "ld 10, 528(1)\n"
    "all_stored 0, 10\n"
    "mfcr 0\n"
    "rlwinm 0, 0, 0, 8, 19\n"
    "std 0, 488(10)\n"
    "all_loaded 32, 1\n"
    "addi 1, 1, 544\n"
    ".cfi_adjust_cfa_offset -544\n"
    "ld 0, 16(1)\n"
    "lwz 12, 8(1)\n"
    "mtlr 0\n"
    "mtcrf 0x38, 12\n"
    "blr\n"
    ".cfi_endproc\n"
    ".size call_poisoned, . - call_poisoned\n");
