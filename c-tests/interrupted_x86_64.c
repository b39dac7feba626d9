/* Every register that a signal's frame holds, through each way of resuming interrupted code: with AVX and AVX-512 as
 * well where the machine has them.
 *
 *     arch: x86_64
 *     flags: -pthread
 *     compilers: gcc clang
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

struct registers {
    uint64_t general[15]; /* rax rbx rcx rdx rsi rdi rbp r8-r15 */
    uint64_t flags;
    uint64_t mm[8];        /* the x87 registers */
    uint32_t mxcsr, x87_control;
    uint64_t mask[8];      /* k0-k7 */
    uint64_t vector[32][8];
};
enum { TRAP_SIZE = 2 };

#include "interrupted.h"

enum { SSE, AVX, AVX512 };
int interrupt_vectors; /* what of the vectors is there */

#define EACH "0,1,2,3,4,5,6,7"
#define EACH16 EACH ",8,9,10,11,12,13,14,15"
#define EACH32 EACH16 ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
/* For each general register but rdi, an instruction with its number in struct registers. */
#define EACH_GENERAL(before, between, after)                                                                       \
    before " %rax" between "0" after before " %rbx" between "1" after before " %rcx" between "2" after             \
    before " %rdx" between "3" after before " %rsi" between "4" after before " %rbp" between "6" after             \
    before " %r8" between "7" after before " %r9" between "8" after before " %r10" between "9" after               \
    before " %r11" between "10" after before " %r12" between "11" after before " %r13" between "12" after          \
    before " %r14" between "13" after before " %r15" between "14" after
#define VECTORS(sse, avx, avx512)                                                                                  \
    "movl interrupt_vectors(%rip), %eax\n"                                                                         \
    "cmpl $1, %eax\n"                                                                                              \
    "ja 2f\n"                                                                                                      \
    "je 1f\n" sse "jmp 3f\n"                                                                                       \
    "1:\n" avx "jmp 3f\n"                                                                                          \
    "2:\n" avx512 "3:\n"

_Static_assert(offsetof(struct registers, mm) == 128 && offsetof(struct registers, mxcsr) == 192, "as below");
_Static_assert(offsetof(struct registers, mask) == 200 && offsetof(struct registers, vector) == 264, "as below");
__asm__(".text\n"
        ".globl interrupt\n"
        "interrupt:\n"
        "push %rbx\n"
        "push %rbp\n"
        "push %r12\n"
        "push %r13\n"
        "push %r14\n"
        "push %r15\n"
        "push %rsi\n"
        "sub $8, %rsp\n"
        "stmxcsr (%rsp)\n"
        "fnstcw 4(%rsp)\n"
        "ldmxcsr 192(%rdi)\n"
        "fldcw 196(%rdi)\n"
        ".irp n, " EACH "\n"
        "movq 128+8*\\n(%rdi), %mm\\n\n"
        ".endr\n"
        VECTORS(".irp n, " EACH16 "\n movups 264+64*\\n(%rdi), %xmm\\n\n .endr\n",
                ".irp n, " EACH16 "\n vmovups 264+64*\\n(%rdi), %ymm\\n\n .endr\n",
                ".irp n, " EACH32 "\n vmovups 264+64*\\n(%rdi), %zmm\\n\n .endr\n"
                ".irp n, " EACH "\n kmovq 200+8*\\n(%rdi), %k\\n\n .endr\n")
        "push 120(%rdi)\n"
        "popf\n"
        ".macro get register, n\n movq 8*\\n(%rdi), \\register\n .endm\n"
        EACH_GENERAL("get", ", ", "\n")
        "movq 40(%rdi), %rdi\n"
        "ud2\n"
        "pushf\n"
        "cld\n"
        "push %rdi\n"
        "movq 24(%rsp), %rdi\n" /* out */
        ".macro put register, n\n movq \\register, 8*\\n(%rdi)\n .endm\n"
        EACH_GENERAL("put", ", ", "\n")
        "pop 40(%rdi)\n"
        "pop 120(%rdi)\n"
        "stmxcsr 192(%rdi)\n"
        "fnstcw 196(%rdi)\n"
        ".irp n, " EACH "\n"
        "movq %mm\\n, 128+8*\\n(%rdi)\n"
        ".endr\n"
        "emms\n"
        VECTORS(".irp n, " EACH16 "\n movups %xmm\\n, 264+64*\\n(%rdi)\n .endr\n",
                ".irp n, " EACH16 "\n vmovups %ymm\\n, 264+64*\\n(%rdi)\n .endr\n vzeroupper\n",
                ".irp n, " EACH32 "\n vmovups %zmm\\n, 264+64*\\n(%rdi)\n .endr\n"
                ".irp n, " EACH "\n kmovq %k\\n, 200+8*\\n(%rdi)\n .endr\n vzeroupper\n")
        "ldmxcsr (%rsp)\n"
        "fldcw 4(%rsp)\n"
        "add $16, %rsp\n"
        "pop %r15\n"
        "pop %r14\n"
        "pop %r13\n"
        "pop %r12\n"
        "pop %rbp\n"
        "pop %rbx\n"
        "ret\n");

static void make_legal(struct registers *registers)
{
    registers->flags = (registers->flags & 0xcd5) | 0x202; /* the arithmetic flags and direction; interrupts are on */
    registers->mxcsr = (registers->mxcsr & 0x603f) | 0x1f80;
    registers->x87_control = (registers->x87_control & 0xf00) | 0x7f;
    __builtin_cpu_init();
    interrupt_vectors = __builtin_cpu_supports("avx512bw") ? AVX512 : __builtin_cpu_supports("avx") ? AVX : SSE;
}

static void scribble(void)
{
    __asm__ volatile(".irp n, " EACH16 "\n"
                     "pcmpeqd %%xmm\\n, %%xmm\\n\n"
                     ".endr\n"
                     "emms" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                           "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    if (interrupt_vectors == AVX512)
        __asm__ volatile(".irp n, " EACH32 "\n vpternlogd $0xff, %%zmm\\n, %%zmm\\n, %%zmm\\n\n .endr\n"
                         ".irp n, " EACH "\n kxorq %%k\\n, %%k\\n, %%k\\n\n .endr\n" ::: "memory");
    if (interrupt_vectors != SSE)
        __asm__ volatile("vzeroall" ::: "memory");
}

/* What the machine does not have. */
static void forgive(struct registers *registers)
{
    const int count = interrupt_vectors == AVX512 ? 32 : 16, words = 2 << interrupt_vectors;

    for (int i = 0; i < 32; i++)
        for (int word = 0; word < 8; word++)
            if (i >= count || word >= words)
                registers->vector[i][word] = 0;
    if (interrupt_vectors != AVX512)
        memset(registers->mask, 0, sizeof registers->mask);
}
