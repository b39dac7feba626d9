/* rctx_sigmask: under `none` the unprefixed functions leave the mask alone, and what they save holds none, also
 * after the policy is `posix` again.
 *
 *     linkings: shared static
 *     compilers: gcc clang
 *     stderr:
 */
#include "check.h"

#include <rctx.h>

static ucontext_t home, context;
static char stack[65536];

static void toggle(void *blocked)
{
    set_blocked(SIGUSR1, blocked != NULL);
}

/* Saves home, goes through a context that sets the mask, comes back by uc_link: what is the mask then? */
static int after_toggle(int blocked)
{
    rctx_makecontext(&context, toggle, blocked ? &home : NULL);
    CHECK(swapcontext(&home, &context) == 0);
    return is_blocked(SIGUSR1);
}

int main(void)
{
    CHECK(rctx_sigmask(RCTX_SIGMASK_POSIX) == RCTX_SIGMASK_POSIX);
    CHECK_FAILS(rctx_sigmask(99), EINVAL);
    CHECK_FAILS(rctx_sigmask(-1), EINVAL);
    CHECK(rctx_sigmask(RCTX_SIGMASK_NONE) == RCTX_SIGMASK_POSIX);
    CHECK_FAILS(rctx_sigmask(99), EINVAL);
    CHECK(rctx_sigmask(RCTX_SIGMASK_POSIX) == RCTX_SIGMASK_NONE);

    prepare(&context, stack, sizeof stack, &home);
    CHECK(!after_toggle(1));
    CHECK(!after_toggle(0));
    rctx_sigmask(RCTX_SIGMASK_NONE);
    CHECK(after_toggle(1)); /* the context holds a mask, the policy says to leave it */
    prepare(&context, stack, sizeof stack, &home);
    CHECK(after_toggle(1));
    CHECK(!after_toggle(0));

    /* Saved under none, resumed under posix. */
    static volatile int resumed;
    set_blocked(SIGUSR1, 0);
    CHECK(getcontext(&home) == 0);
    if (!resumed) {
        resumed = 1;
        set_blocked(SIGUSR1, 1);
        CHECK(rctx_sigmask(RCTX_SIGMASK_POSIX) == RCTX_SIGMASK_NONE);
        setcontext(&home);
        CHECK(!"setcontext returned");
    }
    CHECK(is_blocked(SIGUSR1));

    /* Saved under posix, resumed under none; and then under posix. */
    resumed = 0;
    set_blocked(SIGUSR1, 0);
    CHECK(getcontext(&home) == 0);
    if (resumed == 0) {
        resumed = 1;
        set_blocked(SIGUSR1, 1);
        rctx_sigmask(RCTX_SIGMASK_NONE);
        setcontext(&home);
    }
    if (resumed == 1) {
        resumed = 2;
        CHECK(is_blocked(SIGUSR1));
        rctx_sigmask(RCTX_SIGMASK_POSIX);
        setcontext(&home);
    }
    CHECK(resumed == 2 && !is_blocked(SIGUSR1));
    END();
    return 0;
}
