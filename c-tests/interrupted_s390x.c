/* Every register that a signal's frame holds, through each way of resuming interrupted code: with the vector facility
 * as well where the machine has it.
 *
 *     arch: s390x
 *     flags: -pthread
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

struct registers {
    uint64_t r[15];
    uint64_t condition; /* the condition code, where ipm puts it */
    uint64_t fpc;
    uint64_t has_vectors;
    uint64_t v[32][2]; /* the first half of the first 16 are f0 to f15 */
};
enum { TRAP_SIZE = 0 /* the program counter is behind it */ };

#include "interrupted.h"

#include <sys/auxv.h>

#define VX (1 << 11) /* <asm/elf.h>'s HWCAP_VX */
#define EACH_F "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"

_Static_assert(offsetof(struct registers, condition) == 120 && offsetof(struct registers, v) == 144, "as below");
__asm__(".text\n"
        ".machine push\n"
        ".machine z13\n"
        ".globl interrupt\n"
        "interrupt:\n"
        "stmg %r6, %r15, 48(%r15)\n"
        "aghi %r15, -272\n"
        "stg %r2, 160(%r15)\n"
        "stg %r3, 168(%r15)\n"
        "stfpc 176(%r15)\n"
        ".irp n, 8,9,10,11,12,13,14,15\n"
        "std %f\\n, 136+8*\\n(%r15)\n"
        ".endr\n"
        ".irp n, " EACH_F "\n"
        "ld %f\\n, 144+16*\\n(%r2)\n"
        ".endr\n"
        "lg %r1, 136(%r2)\n"
        "ltgr %r1, %r1\n"
        "jz 1f\n"
        "vlm %v0, %v15, 144(%r2)\n"
        "vlm %v16, %v31, 400(%r2)\n"
        "1:\n"
        "lfpc 132(%r2)\n"
        "lg %r1, 120(%r2)\n"
        "spm %r1\n"
        "lmg %r0, %r14, 0(%r2)\n"
        ".short 0\n"
        "stmg %r0, %r1, 184(%r15)\n"
        "lg %r1, 168(%r15)\n" /* out */
        "stmg %r2, %r14, 16(%r1)\n"
        "mvc 0(16, %r1), 184(%r15)\n"
        "lghi %r2, 0\n"
        "ipm %r2\n"
        "stg %r2, 120(%r1)\n"
        "stfpc 132(%r1)\n"
        ".irp n, " EACH_F "\n"
        "std %f\\n, 144+16*\\n(%r1)\n"
        ".endr\n"
        "lg %r2, 160(%r15)\n"
        "lg %r2, 136(%r2)\n"
        "stg %r2, 136(%r1)\n"
        "ltgr %r2, %r2\n"
        "jz 1f\n"
        "vstm %v0, %v15, 144(%r1)\n"
        "vstm %v16, %v31, 400(%r1)\n"
        "1:\n"
        ".irp n, 8,9,10,11,12,13,14,15\n"
        "ld %f\\n, 136+8*\\n(%r15)\n"
        ".endr\n"
        "lfpc 176(%r15)\n"
        "lmg %r6, %r15, 320(%r15)\n"
        "br %r14\n"
        ".machine pop\n");

static void make_legal(struct registers *registers)
{
    registers->condition &= 0x30000000; /* and no program mask */
    registers->fpc &= 0x00f80003;                    /* sticky flags and the rounding mode */
    registers->has_vectors = (getauxval(AT_HWCAP) & VX) != 0;
}

static void scribble(void)
{
    __asm__ volatile(".irp n, " EACH_F "\n"
                     "lzdr %%f\\n\n"
                     ".endr" ::
                         : "f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12", "f13",
                           "f14", "f15");
    if (getauxval(AT_HWCAP) & VX)
        __asm__ volatile(".machine push\n"
                         ".machine z13\n"
                         ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
                         "vzero %v\\n\n"
                         ".endr\n"
                         ".machine pop");
}

/* What the machine does not have. */
static void forgive(struct registers *registers)
{
    for (int i = 0; i < 32 && !registers->has_vectors; i++) {
        registers->v[i][1] = 0;
        if (i >= 16)
            registers->v[i][0] = 0;
    }
}
