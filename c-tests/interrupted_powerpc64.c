/* Every register that a signal's frame holds, through each way of resuming interrupted code.
 *
 *     arch: powerpc64
 *     flags: -pthread
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

struct registers {
    uint64_t r[32]; /* without r1 and r13: the stack pointer and the thread's */
    uint64_t lr, ctr, cr, xer, fpscr;
    uint64_t unused;
    uint64_t vs[64][2]; /* the first halves of the first 32 are f0 to f31, the last 32 are v0 to v31 */
};
enum { TRAP_SIZE = 4 };

#include "interrupted.h"

#define EACH_SAVED "14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
#define EACH_LOW "0,1,2,3,4,5,6,7,8,9,10,11,12,13," EACH_SAVED
#define EACH "0,1,2,3,4,5,6,7,8,9,10,11,12,13," EACH_SAVED ",32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49," \
             "50,51,52,53,54,55,56,57,58,59,60,61,62,63"
/* but r3 */
#define EACH_R "2,4,5,6,7,8,9,10,11,12," EACH_SAVED

_Static_assert(offsetof(struct registers, lr) == 256 && offsetof(struct registers, vs) == 304, "as below");
__asm__(".text\n"
        ".globl interrupt\n"
        ".type interrupt, @function\n"
        "interrupt:\n"
        "mflr 0\n"
        "std 0, 16(1)\n"
        "mfcr 0\n"
        "stw 0, 8(1)\n"
        "stdu 1, -576(1)\n"
        "std 2, 24(1)\n"
        "std 3, 32(1)\n"
        "std 4, 40(1)\n"
        "mffs 0\n"
        "stfd 0, 48(1)\n"
        ".irp n, " EACH_SAVED "\n"
        "std \\n, 64+8*(\\n-14)(1)\n"
        "stfd \\n, 208+8*(\\n-14)(1)\n"
        ".endr\n"
        "li 5, 352\n"
        ".irp n, 20,21,22,23,24,25,26,27,28,29,30,31\n"
        "stvx \\n, 1, 5\n"
        "addi 5, 5, 16\n"
        ".endr\n"
        "lfd 0, 288(3)\n"
        "mtfsf 255, 0\n"
        "addi 5, 3, 304\n"
        ".irp n, " EACH "\n"
        "lxvd2x \\n, 0, 5\n"
        "addi 5, 5, 16\n"
        ".endr\n"
        "ld 5, 256(3)\n"
        "mtlr 5\n"
        "ld 5, 264(3)\n"
        "mtctr 5\n"
        "ld 5, 272(3)\n"
        "mtcr 5\n"
        "ld 5, 280(3)\n"
        "mtxer 5\n"
        "ld 0, 0(3)\n"
        ".irp n, " EACH_R "\n"
        "ld \\n, 8*\\n(3)\n"
        ".endr\n"
        "ld 3, 24(3)\n"
        ".long 0\n"
        "std 3, 56(1)\n"
        "ld 3, 40(1)\n" /* out */
        "std 0, 0(3)\n"
        ".irp n, " EACH_R "\n"
        "std \\n, 8*\\n(3)\n"
        ".endr\n"
        "ld 0, 56(1)\n"
        "std 0, 24(3)\n"
        "mflr 0\n"
        "std 0, 256(3)\n"
        "mfctr 0\n"
        "std 0, 264(3)\n"
        "mfcr 0\n"
        "std 0, 272(3)\n"
        "mfxer 0\n"
        "std 0, 280(3)\n"
        "addi 5, 3, 304\n"
        ".irp n, " EACH "\n"
        "stxvd2x \\n, 0, 5\n"
        "addi 5, 5, 16\n"
        ".endr\n"
        "mffs 0\n"
        "stfd 0, 288(3)\n"
        "lfd 0, 48(1)\n"
        "mtfsf 255, 0\n"
        "li 5, 352\n"
        ".irp n, 20,21,22,23,24,25,26,27,28,29,30,31\n"
        "lvx \\n, 1, 5\n"
        "addi 5, 5, 16\n"
        ".endr\n"
        ".irp n, " EACH_SAVED "\n"
        "ld \\n, 64+8*(\\n-14)(1)\n"
        "lfd \\n, 208+8*(\\n-14)(1)\n"
        ".endr\n"
        "ld 2, 24(1)\n"
        "addi 1, 1, 576\n"
        "lwz 0, 8(1)\n"
        "mtcr 0\n"
        "ld 0, 16(1)\n"
        "mtlr 0\n"
        "blr\n");

static void make_legal(struct registers *registers)
{
    registers->r[1] = registers->r[13] = registers->unused = 0;
    registers->cr &= 0xffffffff;
    registers->xer &= 0xe0000000; /* SO, OV and CA */
    registers->fpscr &= 3;        /* the rounding mode */
}

static void scribble(void)
{
    __asm__ volatile(".irp n, " EACH_LOW "\n"
                     "xxlxor \\n, \\n, \\n\n"
                     "vspltisw \\n, 5\n"
                     ".endr" ::
                         : "fr0", "fr1", "fr2", "fr3", "fr4", "fr5", "fr6", "fr7", "fr8", "fr9", "fr10", "fr11",
                           "fr12", "fr13", "fr14", "fr15", "fr16", "fr17", "fr18", "fr19", "fr20", "fr21", "fr22",
                           "fr23", "fr24", "fr25", "fr26", "fr27", "fr28", "fr29", "fr30", "fr31", "v0", "v1", "v2",
                           "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
                           "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27",
                           "v28", "v29", "v30", "v31");
}

static void forgive(struct registers *registers)
{
    (void)registers;
}
