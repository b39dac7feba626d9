/* Every register that the i386 psABI calls preserved, and the control words of the floating-point units,
 * survive every way of switching.
 *
 *     arch: x86
 */
struct registers {
    unsigned int ebx, ebp, esi, edi, mxcsr, x87;
};

#include "poisoned.h"

static void poison(struct registers *registers, uint64_t value)
{
    uint32_t *words = (uint32_t *)registers;

    for (size_t i = 0; i < sizeof *registers / sizeof *words; i++)
        words[i] = (uint32_t)value * 0x01010101u ^ (uint32_t)i << 24 ^ (uint32_t)i;
    /* Every exception stays masked; rounding, the flush to zero and the precision differ. */
    registers->mxcsr = 0x1f80 | (unsigned)(value % 4) << 13 | (unsigned)(value % 2) << 15;
    registers->x87 = 0x037f;
    if (function != (void *)raise || !loses_x87())
        registers->x87 ^= (unsigned)(value % 4) << 10 | (unsigned)(value % 2) << 8;
}

asm(".text\n"
    ".globl call_poisoned\n"
    ".type call_poisoned, @function\n"
    "call_poisoned:\n"
    "push %ebp; push %ebx; push %esi; push %edi\n"
    "sub $28, %esp\n"
    "stmxcsr 12(%esp)\n"
    "fnstcw 16(%esp)\n"
    "mov 60(%esp), %eax\n" /* arguments */
    "mov (%eax), %ecx\n"
    "mov %ecx, (%esp)\n"
    "mov 4(%eax), %ecx\n"
    "mov %ecx, 4(%esp)\n"
    "mov 8(%eax), %ecx\n"
    "mov %ecx, 8(%esp)\n"
    "mov 48(%esp), %eax\n" /* in */
    "mov (%eax), %ebx\n"
    "mov 4(%eax), %ebp\n"
    "mov 8(%eax), %esi\n"
    "mov 12(%eax), %edi\n"
    "ldmxcsr 16(%eax)\n"
    "fldcw 20(%eax)\n"
    "call *56(%esp)\n"
    "mov 52(%esp), %eax\n" /* out */
    "mov %ebx, (%eax)\n"
    "mov %ebp, 4(%eax)\n"
    "mov %esi, 8(%eax)\n"
    "mov %edi, 12(%eax)\n"
    "stmxcsr 16(%eax)\n"
    "fnstcw 20(%eax)\n"
    "ldmxcsr 12(%esp)\n"
    "fldcw 16(%esp)\n"
    "add $28, %esp\n"
    "pop %edi; pop %esi; pop %ebx; pop %ebp\n"
    "ret\n"
    ".size call_poisoned, . - call_poisoned\n");
