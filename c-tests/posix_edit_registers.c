/* What a program writes into the registers of a saved context takes effect: program counter, stack pointer,
 * callee-saved and argument registers.
 *
 *     linkings: shared static preload oracle
 *     compilers: gcc clang
 *     valgrind: yes
 */
#define _GNU_SOURCE
#include "check.h"

static ucontext_t home, context;
static _Alignas(16) char stack[65536];
static volatile int returned;

static void check(const uintptr_t *found);

#if defined __x86_64__
static const int edited[] = {REG_RBX, REG_RBP, REG_R12, REG_R13, REG_R14, REG_R15,
                             REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8,  REG_R9};
enum { EDITED = sizeof edited / sizeof *edited };

void landing(void);
static void (*const check_address)(const uintptr_t *) __attribute__((used)) = check;
/* Pushes the registers in the opposite order, and passes them on as an array. */
__asm__(".pushsection .text\n"
        "landing:\n"
        "push %r9; push %r8; push %rcx; push %rdx; push %rsi; push %rdi\n"
        "push %r15; push %r14; push %r13; push %r12; push %rbp; push %rbx\n"
        "mov %rsp, %rdi\n"
        "call *check_address(%rip)\n"
        "ud2\n"
        ".popsection");

static void edit(ucontext_t *ucp, const uintptr_t *values)
{
    ucp->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)landing;
    ucp->uc_mcontext.gregs[REG_RSP] = (greg_t)(uintptr_t)(stack + sizeof stack);
    for (int i = 0; i < EDITED; i++)
        ucp->uc_mcontext.gregs[edited[i]] = (greg_t)values[i];
}
#else
#error "say here which registers of this instruction set a program may write"
#endif

static uintptr_t values[EDITED];

static void check(const uintptr_t *found)
{
    for (int i = 0; i < EDITED; i++)
        CHECK(found[i] == values[i]);
    CHECK((const char *)(found + EDITED) == stack + sizeof stack);
    returned = 1;
    setcontext(&home);
}

int main(void)
{
    seed_random();
    prepare(&context, stack, sizeof stack, NULL);
    for (int i = 0; i < EDITED; i++)
        values[i] = (uintptr_t)next_random();
    edit(&context, values);
    CHECK(getcontext(&home) == 0);
    if (!returned) {
        setcontext(&context);
        CHECK(!"setcontext returned");
    }

    returned = 0;
    CHECK(swapcontext(&home, &context) == 0);
    CHECK(returned);
    END();
    return 0;
}
