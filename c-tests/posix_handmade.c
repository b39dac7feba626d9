/* A context that nobody captured, filled in by hand: a program counter, a stack pointer, a mask, and no
 * floating-point state, which then stays as it is where there is a pointer to it. (The system's libc follows
 * the null pointer.)
 *
 *     linkings: shared static preload
 *     flags: -lm -frounding-math
 */
#define _GNU_SOURCE
#include "check.h"
#include "machine.h"

#include <fenv.h>
#include <signal.h>

static ucontext_t home, context;
static _Alignas(16) char stack[65536];
static int entered;

static void entry(void)
{
    sigset_t set;

    CHECK(fegetround() == ZEROED_ROUNDING(FE_UPWARD));
    CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGUSR1));
    entered = 1;
    setcontext(&home);
}

int main(void)
{
    sigaddset(&context.uc_sigmask, SIGUSR1);
    PROGRAM_COUNTER(context) = (uintptr_t)entry;
    STACK_POINTER(context) = (uintptr_t)(stack + sizeof stack - 16 - ENTRY_OFFSET);
    CHECK(fesetround(FE_UPWARD) == 0);
    CHECK(swapcontext(&home, &context) == 0);
    CHECK(entered);
    END();
    return 0;
}
