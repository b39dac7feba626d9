/* The twins leave the signal mask alone, and a context that one of them saved holds none: whoever resumes it,
 * and by uc_link as well.
 *
 *     linkings: shared static
 *     compilers: gcc clang
 *     valgrind: memcheck
 */
#include "check.h"

#include <rctx.h>

static ucontext_t home, context;
static char stack[65536];

/* Changes the mask and leaves by uc_link. */
static void toggle(void *blocked)
{
    set_blocked(SIGUSR1, blocked != NULL);
}

static void make(int masked)
{
    if (masked)
        prepare(&context, stack, sizeof stack, &home);
    else {
        CHECK(rctx_getcontext(&context) == 0);
        context.uc_stack.ss_sp = stack;
        context.uc_stack.ss_size = sizeof stack;
        context.uc_link = &home;
    }
}

int main(void)
{
    /* A twin resumes a context with a mask: it is not installed; nor is one saved, for uc_link to install. */
    set_blocked(SIGUSR1, 0);
    make(1);
    rctx_makecontext(&context, toggle, &home);
    CHECK(rctx_swapcontext(&home, &context) == 0);
    CHECK(is_blocked(SIGUSR1));

    /* setcontext and swapcontext resume one without. */
    set_blocked(SIGUSR1, 0);
    make(0);
    sigaddset(&context.uc_sigmask, SIGUSR2);
    rctx_makecontext(&context, toggle, &home);
    set_blocked(SIGUSR1, 1);
    CHECK(swapcontext(&home, &context) == 0);
    CHECK(is_blocked(SIGUSR1)); /* home was saved with its mask */

    static volatile int resumed;
    set_blocked(SIGUSR1, 0);
    CHECK(rctx_getcontext(&home) == 0);
    if (resumed == 0) {
        resumed = 1;
        set_blocked(SIGUSR1, 1);
        setcontext(&home);
        CHECK(!"setcontext returned");
    }
    CHECK(is_blocked(SIGUSR1));
    if (resumed == 1) {
        resumed = 2;
        rctx_setcontext(&home);
        CHECK(!"rctx_setcontext returned");
    }
    CHECK(is_blocked(SIGUSR1));
    END();
    return 0;
}
