/* Every callee-saved register, and the control bits of the floating-point unit, hold a random value across a
 * switch, on either side; and the saved context shows them where libc documents them.
 *
 *     arch: x86_64
 *     linkings: shared static preload oracle
 *     compilers: gcc clang
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "check.h"

#ifndef SWAPCONTEXT
#define SWAPCONTEXT "swapcontext"
#endif

struct registers {
    uint64_t rbx, rbp, r12, r13, r14, r15;
    uint32_t mxcsr;
    uint16_t x87;
};

/* As swapcontext, with the registers of `registers`; stores there what they are when it returns. */
int swap_with(ucontext_t *oucp, const ucontext_t *ucp, struct registers *registers);
__asm__(".pushsection .text\n"
        "swap_with:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "sub $24, %rsp\n"
        "mov %rdx, (%rsp)\n"
        "stmxcsr 8(%rsp)\n"
        "fnstcw 12(%rsp)\n"
        "mov (%rdx), %rbx\n"
        "mov 8(%rdx), %rbp\n"
        "mov 16(%rdx), %r12\n"
        "mov 24(%rdx), %r13\n"
        "mov 32(%rdx), %r14\n"
        "mov 40(%rdx), %r15\n"
        "ldmxcsr 48(%rdx)\n"
        "fldcw 52(%rdx)\n"
        "call " SWAPCONTEXT "@PLT\n"
        "mov (%rsp), %rdx\n"
        "mov %rbx, (%rdx)\n"
        "mov %rbp, 8(%rdx)\n"
        "mov %r12, 16(%rdx)\n"
        "mov %r13, 24(%rdx)\n"
        "mov %r14, 32(%rdx)\n"
        "mov %r15, 40(%rdx)\n"
        "stmxcsr 48(%rdx)\n"
        "fnstcw 52(%rdx)\n"
        "ldmxcsr 8(%rsp)\n"
        "fldcw 12(%rsp)\n"
        "add $24, %rsp\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n"
        ".popsection");

static struct registers poison(void)
{
    struct registers r = {next_random(), next_random(), next_random(), next_random(), next_random(),
                          next_random(), 0, 0};
    /* Control bits only; every exception stays masked. */
    r.mxcsr = ((uint32_t)next_random() & 0xe040) | 0x1f80;
    r.x87 = ((uint16_t)next_random() & 0x0c00) | 0x037f;
    if (next_random() & 1)
        r.x87 &= ~0x0100; /* 53 bits of precision */
    return r;
}

static void check_same(const struct registers *a, const struct registers *b)
{
    CHECK(a->rbx == b->rbx && a->rbp == b->rbp && a->r12 == b->r12);
    CHECK(a->r13 == b->r13 && a->r14 == b->r14 && a->r15 == b->r15);
    CHECK((a->mxcsr & 0xffc0) == (b->mxcsr & 0xffc0));
    CHECK(a->x87 == b->x87);
}

static void check_saved(const ucontext_t *ucp, const struct registers *r)
{
    const greg_t *gregs = ucp->uc_mcontext.gregs;

    CHECK((uint64_t)gregs[REG_RBX] == r->rbx && (uint64_t)gregs[REG_RBP] == r->rbp);
    CHECK((uint64_t)gregs[REG_R12] == r->r12 && (uint64_t)gregs[REG_R13] == r->r13);
    CHECK((uint64_t)gregs[REG_R14] == r->r14 && (uint64_t)gregs[REG_R15] == r->r15);
    CHECK((ucp->uc_mcontext.fpregs->mxcsr & 0xffc0) == (r->mxcsr & 0xffc0));
    CHECK(ucp->uc_mcontext.fpregs->cwd == r->x87);
}

static ucontext_t home, context;
static char stack[65536];
static struct registers expected_home, expected_context;

static void swap(ucontext_t *from, const ucontext_t *to, struct registers *expected,
                 const struct registers *saved)
{
    struct registers r = *expected = poison();

    CHECK(swap_with(from, to, &r) == 0);
    check_same(&r, expected);
    check_saved(to, saved);
}

static void partner(void)
{
    for (;;)
        swap(&context, &home, &expected_context, &expected_home);
}

int main(void)
{
    seed_random();
    prepare(&context, stack, sizeof stack, NULL);
    makecontext(&context, partner, 0);
    for (int round = 0; round < 10000; round++)
        swap(&home, &context, &expected_home, &expected_context);
    END();
    return 0;
}
