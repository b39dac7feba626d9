/* Every register that the x86-64 psABI calls preserved, and the control words of the floating-point units,
 * survive every way of switching.
 *
 *     arch: x86_64
 */
struct registers {
    unsigned long rbx, rbp, r12_to_r15[4];
    unsigned int mxcsr, x87;
};

#include "poisoned.h"

static void poison(struct registers *registers, uint64_t value)
{
    uint64_t *words = (uint64_t *)registers;

    for (size_t i = 0; i < sizeof *registers / sizeof *words; i++)
        words[i] = value * 0x0101010101010101u ^ i << 56 ^ i;
    /* Every exception stays masked; rounding, the flush to zero and the precision differ. */
    registers->mxcsr = 0x1f80 | (unsigned)(value % 4) << 13 | (unsigned)(value % 2) << 15;
    registers->x87 = 0x027f | (unsigned)(value % 4) << 10 | (unsigned)(value % 2) << 8;
}

asm(".text\n"
    ".globl call_poisoned\n"
    ".type call_poisoned, @function\n"
    "call_poisoned:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "sub $24, %rsp\n"
    "stmxcsr (%rsp)\n"
    "fnstcw 4(%rsp)\n"
    "mov %rsi, 8(%rsp)\n"
    "mov %rdx, %rax\n"
    "mov %rdi, %r8\n"
    "mov (%rcx), %rdi\n"
    "mov 8(%rcx), %rsi\n"
    "mov 16(%rcx), %rdx\n"
    "mov (%r8), %rbx\n"
    "mov 8(%r8), %rbp\n"
    "mov 16(%r8), %r12\n"
    "mov 24(%r8), %r13\n"
    "mov 32(%r8), %r14\n"
    "mov 40(%r8), %r15\n"
    "ldmxcsr 48(%r8)\n"
    "fldcw 52(%r8)\n"
    "call *%rax\n"
    "mov 8(%rsp), %rcx\n"
    "mov %rbx, (%rcx)\n"
    "mov %rbp, 8(%rcx)\n"
    "mov %r12, 16(%rcx)\n"
    "mov %r13, 24(%rcx)\n"
    "mov %r14, 32(%rcx)\n"
    "mov %r15, 40(%rcx)\n"
    "stmxcsr 48(%rcx)\n"
    "fnstcw 52(%rcx)\n"
    "ldmxcsr (%rsp)\n"
    "fldcw 4(%rsp)\n"
    "add $24, %rsp\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "ret\n"
    ".size call_poisoned, . - call_poisoned\n");
