/* Every register that a signal's frame holds, through each way of resuming interrupted code.
 *
 *     arch: riscv64
 *     flags: -pthread
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

struct registers {
    uint64_t x[32]; /* without x0, x2 to x4: zero, sp, gp and tp */
    uint64_t f[32];
    uint64_t fcsr;
};
enum { TRAP_SIZE = 4 };

#include "interrupted.h"

#define EACH_F "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
#define EACH_SAVED "8,9,18,19,20,21,22,23,24,25,26,27"
/* but x10 */
#define EACH_X "1,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

_Static_assert(offsetof(struct registers, f) == 256 && offsetof(struct registers, fcsr) == 512, "as below");
__asm__(".text\n"
        ".globl interrupt\n"
        "interrupt:\n"
        "addi sp, sp, -480\n"
        "sd ra, 0(sp)\n"
        "sd a1, 8(sp)\n"
        "frcsr t0\n"
        "sd t0, 16(sp)\n"
        ".irp n, " EACH_SAVED "\n"
        "sd x\\n, 32+8*\\n(sp)\n"
        "fsd f\\n, 248+8*\\n(sp)\n"
        ".endr\n"
        "ld t0, 512(a0)\n"
        "fscsr t0\n"
        ".irp n, " EACH_F "\n"
        "fld f\\n, 256+8*\\n(a0)\n"
        ".endr\n"
        ".irp n, " EACH_X "\n"
        "ld x\\n, 8*\\n(a0)\n"
        ".endr\n"
        "ld a0, 80(a0)\n"
        ".option push\n"
        ".option norvc\n"
        "unimp\n"
        ".option pop\n"
        "sd a0, 24(sp)\n"
        "ld a0, 8(sp)\n" /* out */
        ".irp n, " EACH_X "\n"
        "sd x\\n, 8*\\n(a0)\n"
        ".endr\n"
        "ld t0, 24(sp)\n"
        "sd t0, 80(a0)\n"
        ".irp n, " EACH_F "\n"
        "fsd f\\n, 256+8*\\n(a0)\n"
        ".endr\n"
        "frcsr t0\n"
        "sd t0, 512(a0)\n"
        ".irp n, " EACH_SAVED "\n"
        "ld x\\n, 32+8*\\n(sp)\n"
        "fld f\\n, 248+8*\\n(sp)\n"
        ".endr\n"
        "ld t0, 16(sp)\n"
        "fscsr t0\n"
        "ld ra, 0(sp)\n"
        "addi sp, sp, 480\n"
        "ret\n");

static void make_legal(struct registers *registers)
{
    registers->x[0] = registers->x[2] = registers->x[3] = registers->x[4] = 0;
    registers->fcsr &= 0x7f; /* the rounding modes below 4, and the flags */
}

static void scribble(void)
{
    __asm__ volatile(".irp n, " EACH_F "\n"
                     "fmv.d.x f\\n, zero\n"
                     ".endr" ::
                         : "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2",
                           "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9",
                           "fs10", "fs11", "ft8", "ft9", "ft10", "ft11");
}

static void forgive(struct registers *registers)
{
    (void)registers;
}
