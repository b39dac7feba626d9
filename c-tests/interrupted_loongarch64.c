/* Every register that a signal's frame holds, through each way of resuming interrupted code.
 *
 *     arch: loongarch64
 *     flags: -pthread
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

struct registers {
    uint64_t r[32]; /* without r0, r2 and r3: zero, the thread pointer and the stack pointer */
    uint64_t f[32];
    uint64_t fcc[8], fcsr;
};
enum { TRAP_SIZE = 4 };

#include "interrupted.h"

#define EACH_F "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
#define EACH_CC "0,1,2,3,4,5,6,7"
#define EACH_SAVED "22,23,24,25,26,27,28,29,30,31"
/* but r4 */
#define EACH_R "1,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21," EACH_SAVED

_Static_assert(offsetof(struct registers, fcc) == 512 && offsetof(struct registers, fcsr) == 576, "as below");
__asm__(".text\n"
        ".globl interrupt\n"
        ".type interrupt, @function\n"
        "interrupt:\n"
        "addi.d $sp, $sp, -208\n"
        "st.d $r1, $sp, 0\n"
        "st.d $r5, $sp, 8\n"
        "movfcsr2gr $r12, $fcsr0\n"
        "st.d $r12, $sp, 16\n"
        "st.d $r21, $sp, 24\n"
        ".irp n, " EACH_SAVED "\n"
        "st.d $r\\n, $sp, 40+8*(\\n-22)\n"
        ".endr\n"
        ".irp n, 24,25,26,27,28,29,30,31\n"
        "fst.d $f\\n, $sp, 120+8*(\\n-24)\n"
        ".endr\n"
        "ld.d $r12, $r4, 576\n"
        "movgr2fcsr $fcsr0, $r12\n"
        ".irp n, " EACH_CC "\n"
        "ld.d $r12, $r4, 512+8*\\n\n"
        "movgr2cf $fcc\\n, $r12\n"
        ".endr\n"
        ".irp n, " EACH_F "\n"
        "fld.d $f\\n, $r4, 256+8*\\n\n"
        ".endr\n"
        ".irp n, " EACH_R "\n"
        "ld.d $r\\n, $r4, 8*\\n\n"
        ".endr\n"
        "ld.d $r4, $r4, 32\n"
        ".word 0\n"
        "st.d $r4, $sp, 32\n"
        "ld.d $r4, $sp, 8\n" /* out */
        ".irp n, " EACH_R "\n"
        "st.d $r\\n, $r4, 8*\\n\n"
        ".endr\n"
        "ld.d $r12, $sp, 32\n"
        "st.d $r12, $r4, 32\n"
        "movfcsr2gr $r12, $fcsr0\n"
        "st.d $r12, $r4, 576\n"
        ".irp n, " EACH_CC "\n"
        "movcf2gr $r12, $fcc\\n\n"
        "st.d $r12, $r4, 512+8*\\n\n"
        ".endr\n"
        ".irp n, " EACH_F "\n"
        "fst.d $f\\n, $r4, 256+8*\\n\n"
        ".endr\n"
        ".irp n, 24,25,26,27,28,29,30,31\n"
        "fld.d $f\\n, $sp, 120+8*(\\n-24)\n"
        ".endr\n"
        ".irp n, " EACH_SAVED "\n"
        "ld.d $r\\n, $sp, 40+8*(\\n-22)\n"
        ".endr\n"
        "ld.d $r12, $sp, 16\n"
        "movgr2fcsr $fcsr0, $r12\n"
        "ld.d $r21, $sp, 24\n"
        "ld.d $r1, $sp, 0\n"
        "addi.d $sp, $sp, 208\n"
        "ret\n");

static void make_legal(struct registers *registers)
{
    registers->r[0] = registers->r[2] = registers->r[3] = 0;
    registers->fcsr &= 0x1f1f0300; /* causes and flags, and the rounding mode */
    for (int i = 0; i < 8; i++)
        registers->fcc[i] &= 1;
}

static void scribble(void)
{
    __asm__ volatile(".irp n, " EACH_F "\n"
                     "movgr2fr.d $f\\n, $r0\n"
                     ".endr" ::
                         : "$f0", "$f1", "$f2", "$f3", "$f4", "$f5", "$f6", "$f7", "$f8", "$f9", "$f10", "$f11",
                           "$f12", "$f13", "$f14", "$f15", "$f16", "$f17", "$f18", "$f19", "$f20", "$f21", "$f22",
                           "$f23", "$f24", "$f25", "$f26", "$f27", "$f28", "$f29", "$f30", "$f31");
}

static void forgive(struct registers *registers)
{
    (void)registers;
}
