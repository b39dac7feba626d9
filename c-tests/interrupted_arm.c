/* Every register that a signal's frame holds, through each way of resuming interrupted code.
 *
 *     arch: arm
 *     flags: -pthread
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

struct registers {
    uint32_t r[13], lr, flags, fpscr;
    uint32_t d[32][2];
    uint32_t has_upper; /* d16 to d31 are there */
};
enum { TRAP_SIZE = 4 };

#include "interrupted.h"

#include <sys/auxv.h>

#define VFPD32 (1 << 19) /* <asm/hwcap.h>'s HWCAP_VFPD32 */

_Static_assert(offsetof(struct registers, lr) == 52 && offsetof(struct registers, d) == 64, "as below");
_Static_assert(offsetof(struct registers, has_upper) == 320, "as below");
__asm__(".text\n"
        ".arm\n"
        ".fpu neon\n"
        ".globl interrupt\n"
        ".type interrupt, %function\n"
        "interrupt:\n"
        "push {r4-r11, lr}\n"
        "vpush {d8-d15}\n"
        "vmrs r2, fpscr\n"
        "push {r0, r1, r2}\n"
        "ldr r3, [r0, #60]\n"
        "vmsr fpscr, r3\n"
        "add r1, r0, #64\n"
        "vldmia r1!, {d0-d15}\n"
        "ldr r2, [r0, #320]\n"
        "cmp r2, #0\n"
        "beq 1f\n"
        "vldmia r1, {d16-d31}\n"
        "1:\n"
        "ldr r1, [r0, #56]\n"
        "msr apsr_nzcvq, r1\n"
        "ldr lr, [r0, #52]\n"
        "ldmia r0, {r0-r12}\n"
        ".inst 0xe7f000f0\n" /* udf #0 */
        "push {r0, r1}\n"
        "ldr r0, [sp, #12]\n" /* out */
        "str lr, [r0, #52]\n"
        "mrs r1, apsr\n"
        "str r1, [r0, #56]\n"
        "ldr r1, [sp, #4]\n"
        "stmia r0, {r0-r12}\n"
        "pop {r2, r3}\n"
        "str r2, [r0]\n"
        "vmrs r1, fpscr\n"
        "str r1, [r0, #60]\n"
        "add r1, r0, #64\n"
        "vstmia r1!, {d0-d15}\n"
        "ldr r2, [sp]\n" /* in */
        "ldr r2, [r2, #320]\n"
        "str r2, [r0, #320]\n"
        "cmp r2, #0\n"
        "beq 1f\n"
        "vstmia r1, {d16-d31}\n"
        "1:\n"
        "pop {r0, r1, r2}\n"
        "vmsr fpscr, r2\n"
        "vpop {d8-d15}\n"
        "pop {r4-r11, pc}\n");

static void make_legal(struct registers *registers)
{
    registers->flags &= 0x1fu << 27;
    registers->fpscr &= (0xfu << 28) | (3 << 22) | 0x1f; /* condition, rounding mode, sticky flags */
    registers->has_upper = (getauxval(AT_HWCAP) & VFPD32) != 0;
}

static void scribble(void)
{
    __asm__ volatile(".fpu neon\n"
                     "vmov.f64 d0, #1.0\n"
                     "vmov.f64 d7, #1.0\n"
                     "vmov.f64 d8, #1.0\n"
                     "vmov.f64 d15, #1.0\n" ::
                         : "d0", "d7", "d8", "d15");
    if (getauxval(AT_HWCAP) & VFPD32)
        __asm__ volatile(".fpu neon\n"
                         "vmov.f64 d16, #1.0\n"
                         "vmov.f64 d31, #1.0\n");
}

/* What the machine does not have. */
static void forgive(struct registers *registers)
{
    registers->flags &= 0x1fu << 27;
    if (!registers->has_upper)
        memset(registers->d[16], 0, 16 * sizeof *registers->d);
}
