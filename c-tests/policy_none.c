/* RCTX_SIGMASK=none reaches a program that knows nothing of us: the mask stays what the context made it.
 *
 *     linkings: shared static preload
 *     environment: RCTX_SIGMASK=none
 *     stderr:
 */
#include "check.h"

#include <signal.h>

static ucontext_t home, context;
static char stack[65536];

static void block(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
}

int main(void)
{
    sigset_t set;

    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, block, 0);
    CHECK(swapcontext(&home, &context) == 0);
    CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGUSR1));
    END();
    return 0;
}
