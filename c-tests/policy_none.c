/* RCTX_SIGMASK=none reaches a program that knows nothing of us: the mask stays what the context made it.
 *
 *     linkings: shared static preload
 *     environment: RCTX_SIGMASK=none
 *     stderr:
 */
#include "check.h"

static ucontext_t home, context;
static char stack[65536];

static void block(void)
{
    set_blocked(SIGUSR1, 1);
}

int main(void)
{
    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, block, 0);
    CHECK(swapcontext(&home, &context) == 0);
    CHECK(is_blocked(SIGUSR1));
    END();
    return 0;
}
