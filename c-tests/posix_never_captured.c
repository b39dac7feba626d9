/* makecontext on a structure that getcontext never saw takes mask and floating-point environment from its
 * caller. (The system's libc starts it with garbage.)
 *
 *     linkings: shared static preload
 *     flags: -lm -frounding-math
 */
#include "check.h"

#include <fenv.h>

static ucontext_t home, context;
static char stack[65536];
static int entered;

static void inside(void)
{
    CHECK(is_blocked(SIGUSR1) && fegetround() == FE_UPWARD);
    entered++;
}

int main(void)
{
    for (int fill = 0; fill < 256; fill += 85) {
        memset(&context, fill, sizeof context);
        context.uc_stack.ss_sp = stack;
        context.uc_stack.ss_size = sizeof stack;
        context.uc_link = &home;
        set_blocked(SIGUSR1, 1);
        CHECK(fesetround(FE_UPWARD) == 0);
        makecontext(&context, inside, 0);
        set_blocked(SIGUSR1, 0);
        CHECK(fesetround(FE_TONEAREST) == 0);
        CHECK(swapcontext(&home, &context) == 0);
        CHECK(!is_blocked(SIGUSR1) && fegetround() == FE_TONEAREST);
    }
    CHECK(entered == 4);
    END();
    return 0;
}
