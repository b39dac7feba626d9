/* Every register that a signal's frame holds, through each way of resuming interrupted code.
 *
 *     arch: aarch64
 *     flags: -pthread
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

struct registers {
    uint64_t x[31], flags, fpcr, fpsr;
    uint64_t v[32][2];
};
enum { TRAP_SIZE = 4 };

#include "interrupted.h"

#define EACH_X "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30"
#define EACH_V "0," EACH_X ",31"

_Static_assert(offsetof(struct registers, flags) == 248 && offsetof(struct registers, v) == 272, "as below");
__asm__(".text\n"
        ".globl interrupt\n"
        "interrupt:\n"
        "stp x29, x30, [sp, #-192]!\n"
        "stp x19, x20, [sp, #16]\n"
        "stp x21, x22, [sp, #32]\n"
        "stp x23, x24, [sp, #48]\n"
        "stp x25, x26, [sp, #64]\n"
        "stp x27, x28, [sp, #80]\n"
        "stp d8, d9, [sp, #96]\n"
        "stp d10, d11, [sp, #112]\n"
        "stp d12, d13, [sp, #128]\n"
        "stp d14, d15, [sp, #144]\n"
        "mrs x2, fpcr\n"
        "stp x1, x2, [sp, #160]\n"
        "ldr x1, [x0, #248]\n"
        "msr nzcv, x1\n"
        "ldr x1, [x0, #256]\n"
        "msr fpcr, x1\n"
        "ldr x1, [x0, #264]\n"
        "msr fpsr, x1\n"
        "add x1, x0, #272\n"
        ".irp n, " EACH_V "\n"
        "ldr q\\n, [x1], #16\n"
        ".endr\n"
        ".irp n, " EACH_X "\n"
        "ldr x\\n, [x0, #8 * \\n]\n"
        ".endr\n"
        "ldr x0, [x0]\n"
        ".inst 0\n"
        "stp x0, x1, [sp, #-16]!\n"
        "ldr x0, [sp, #176]\n" /* out */
        ".irp n, " EACH_X "\n"
        "str x\\n, [x0, #8 * \\n]\n"
        ".endr\n"
        "ldp x1, x2, [sp], #16\n"
        "stp x1, x2, [x0]\n" /* x0 and x1 */
        "mrs x1, nzcv\n"
        "str x1, [x0, #248]\n"
        "mrs x1, fpcr\n"
        "str x1, [x0, #256]\n"
        "mrs x1, fpsr\n"
        "str x1, [x0, #264]\n"
        "add x1, x0, #272\n"
        ".irp n, " EACH_V "\n"
        "str q\\n, [x1], #16\n"
        ".endr\n"
        "ldr x1, [sp, #168]\n"
        "msr fpcr, x1\n"
        "ldp d14, d15, [sp, #144]\n"
        "ldp d12, d13, [sp, #128]\n"
        "ldp d10, d11, [sp, #112]\n"
        "ldp d8, d9, [sp, #96]\n"
        "ldp x27, x28, [sp, #80]\n"
        "ldp x25, x26, [sp, #64]\n"
        "ldp x23, x24, [sp, #48]\n"
        "ldp x21, x22, [sp, #32]\n"
        "ldp x19, x20, [sp, #16]\n"
        "ldp x29, x30, [sp], #192\n"
        "ret\n");

static void make_legal(struct registers *registers)
{
    registers->flags &= 0xfu << 28;
    registers->fpcr &= 3u << 22; /* the rounding mode */
    registers->fpsr &= 0x0800009f;
}

static void scribble(void)
{
    __asm__ volatile(".irp n, " EACH_V "\n"
                     "movi v\\n\\().16b, #0x55\n"
                     ".endr" ::
                         : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
                           "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
                           "v26", "v27", "v28", "v29", "v30", "v31");
}

static void forgive(struct registers *registers)
{
    (void)registers;
}
