/* A stack of rctx_stack_alloc that overflows hits its guard page, with the stack below it untouched: by many small
 * frames, by frames of nearly a page, and by one that is larger than the guard. The last needs the compiler's help:
 * -fstack-clash-protection touches every page of a frame in turn; without it a large frame steps over a guard.
 *
 *     linkings: shared static
 *     compilers: gcc clang
 *     arch: x86_64 x86 powerpc64 s390x
 *     flags: -fstack-clash-protection
 */
#define _GNU_SOURCE
#include "check.h"

#include <rctx.h>
#include <setjmp.h>
#include <signal.h>

enum { SIZE = 64 * 1024, STACKS = 32, PATTERN = 0x5c };

static stack_t stacks[STACKS];
static ucontext_t home, context;
static sigjmp_buf hit;
static char *volatile fault_address;

HANDLER static void on_fault(int signal, siginfo_t *info, void *unused)
{
    (void)signal;
    (void)unused;
    fault_address = info->si_addr;
    siglongjmp(hit, 1);
}

#define OVERFLOW(name, size)                                                                      \
    __attribute__((noinline)) static int name(int depth)                                          \
    {                                                                                             \
        volatile char frame[size];                                                                \
                                                                                                  \
        frame[0] = (char)depth;                                                                   \
        return depth < INT32_MAX ? name(depth + 1) + frame[0] : 0;                                \
    }                                                                                             \
    static void name##_forever(void)                                                              \
    {                                                                                             \
        name(0);                                                                                  \
    }

OVERFLOW(small, 64)
OVERFLOW(nearly_a_page, 4000)
OVERFLOW(larger, 2 * SIZE)

/* Overflows `upper`, right above `lower` but for the guard page. */
static void check_overflow(void (*function)(void), const stack_t *upper, const stack_t *lower, size_t page)
{
    memset(lower->ss_sp, PATTERN, lower->ss_size);
    fault_address = NULL;
    prepare(&context, upper->ss_sp, upper->ss_size, &home);
    makecontext(&context, function, 0);
    if (sigsetjmp(hit, 1) == 0) {
        swapcontext(&home, &context);
        CHECK(!"reached");
    }
    CHECK(fault_address < (char *)upper->ss_sp && fault_address >= (char *)upper->ss_sp - page);
    for (size_t index = 0; index < lower->ss_size; index++)
        CHECK(((char *)lower->ss_sp)[index] == PATTERN);
}

int main(void)
{
    static char alternate[64 * 1024];
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t alternate_stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int neighbours = 0;

    CHECK(sigaltstack(&alternate_stack, NULL) == 0);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    CHECK(sigaction(SIGBUS, &action, NULL) == 0);
    for (int index = 0; index < STACKS; index++)
        CHECK(rctx_stack_alloc(&stacks[index], SIZE) == 0);
    for (int upper = 0; upper < STACKS; upper++)
        for (int lower = 0; lower < STACKS; lower++)
            if ((char *)stacks[lower].ss_sp + stacks[lower].ss_size == (char *)stacks[upper].ss_sp - page) {
                neighbours++;
                check_overflow(small_forever, &stacks[upper], &stacks[lower], page);
                check_overflow(nearly_a_page_forever, &stacks[upper], &stacks[lower], page);
                check_overflow(larger_forever, &stacks[upper], &stacks[lower], page);
            }
    CHECK(neighbours > 0);
    for (int index = 0; index < STACKS; index++)
        CHECK(rctx_stack_free(&stacks[index]) == 0);
    END();
    return 0;
}
