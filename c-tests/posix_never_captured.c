/* makecontext on a structure that getcontext never saw takes mask and floating-point environment from its
 * caller. (The system's libc starts it with garbage.)
 *
 *     linkings: shared static preload
 *     flags: -lm -frounding-math
 */
#include "check.h"

#include <fenv.h>
#include <signal.h>

static ucontext_t home, context;
static char stack[65536];
static int entered;

static void set_blocked(int blocked)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(sigprocmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL) == 0);
}

static int is_blocked(void)
{
    sigset_t set;

    CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0);
    return sigismember(&set, SIGUSR1);
}

static void inside(void)
{
    CHECK(is_blocked() && fegetround() == FE_UPWARD);
    entered++;
}

int main(void)
{
    for (int fill = 0; fill < 256; fill += 85) {
        memset(&context, fill, sizeof context);
        context.uc_stack.ss_sp = stack;
        context.uc_stack.ss_size = sizeof stack;
        context.uc_link = &home;
        set_blocked(1);
        CHECK(fesetround(FE_UPWARD) == 0);
        makecontext(&context, inside, 0);
        set_blocked(0);
        CHECK(fesetround(FE_TONEAREST) == 0);
        CHECK(swapcontext(&home, &context) == 0);
        CHECK(!is_blocked() && fegetround() == FE_TONEAREST);
    }
    CHECK(entered == 4);
    END();
    return 0;
}
