/* Every register that a signal's frame holds, through each way of resuming interrupted code.
 *
 *     arch: x86
 *     flags: -pthread -msse2
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

struct registers {
    uint32_t general[7]; /* eax ebx ecx edx esi edi ebp */
    uint32_t flags;
    uint32_t mm[8][2]; /* the x87 registers */
    uint32_t x87_control, mxcsr;
    uint32_t xmm[8][4];
};
enum { TRAP_SIZE = 2 };

#include "interrupted.h"

#define EACH "0,1,2,3,4,5,6,7"

_Static_assert(offsetof(struct registers, mm) == 32 && offsetof(struct registers, x87_control) == 96, "as below");
_Static_assert(offsetof(struct registers, xmm) == 104, "as below");
__asm__(".text\n"
        ".globl interrupt\n"
        "interrupt:\n"
        "push %ebp\n"
        "push %ebx\n"
        "push %esi\n"
        "push %edi\n"
        "sub $8, %esp\n"
        "stmxcsr (%esp)\n"
        "fnstcw 4(%esp)\n"
        "mov 28(%esp), %eax\n"
        "fldcw 96(%eax)\n"
        "ldmxcsr 100(%eax)\n"
        ".irp n, " EACH "\n"
        "movq 32+8*\\n(%eax), %mm\\n\n"
        "movups 104+16*\\n(%eax), %xmm\\n\n"
        ".endr\n"
        "push 28(%eax)\n"
        "popf\n"
        "mov 4(%eax), %ebx\n"
        "mov 8(%eax), %ecx\n"
        "mov 12(%eax), %edx\n"
        "mov 16(%eax), %esi\n"
        "mov 20(%eax), %edi\n"
        "mov 24(%eax), %ebp\n"
        "mov (%eax), %eax\n"
        "ud2\n"
        "pushf\n"
        "cld\n"
        "push %eax\n"
        "mov 40(%esp), %eax\n" /* out */
        "mov %ebx, 4(%eax)\n"
        "mov %ecx, 8(%eax)\n"
        "mov %edx, 12(%eax)\n"
        "mov %esi, 16(%eax)\n"
        "mov %edi, 20(%eax)\n"
        "mov %ebp, 24(%eax)\n"
        "pop (%eax)\n"
        "pop 28(%eax)\n"
        "fnstcw 96(%eax)\n"
        "stmxcsr 100(%eax)\n"
        ".irp n, " EACH "\n"
        "movq %mm\\n, 32+8*\\n(%eax)\n"
        "movups %xmm\\n, 104+16*\\n(%eax)\n"
        ".endr\n"
        "emms\n"
        "ldmxcsr (%esp)\n"
        "fldcw 4(%esp)\n"
        "add $8, %esp\n"
        "pop %edi\n"
        "pop %esi\n"
        "pop %ebx\n"
        "pop %ebp\n"
        "ret\n");

static void make_legal(struct registers *registers)
{
    registers->flags = (registers->flags & 0xcd5) | 0x202; /* the arithmetic flags and direction; interrupts are on */
    if (emulated())
        registers->flags &= ~0x400u; /* with which qemu-i386 7.2 enters the handler */
    registers->mxcsr = (registers->mxcsr & 0x603f) | 0x1f80;
    registers->x87_control = (registers->x87_control & 0xf00) | 0x7f;
}

static void scribble(void)
{
    __asm__ volatile(".irp n, " EACH "\n"
                     "pcmpeqd %%xmm\\n, %%xmm\\n\n"
                     ".endr\n"
                     "emms" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
}

static void forgive(struct registers *registers)
{
    if (loses_x87()) {
        memset(registers->mm, 0, sizeof registers->mm);
        registers->x87_control = 0;
    }
}
