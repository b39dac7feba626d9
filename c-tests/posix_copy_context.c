/* A context copied by assignment has its own copy of the floating-point environment: the original may be gone.
 * (In the system's libc the copy points into the original: it is no oracle here.)
 *
 *     linkings: shared static preload
 *     compilers: gcc clang
 *     flags: -lm -frounding-math
 *     valgrind: memcheck
 */
#include "check.h"

#include <fenv.h>

static ucontext_t home, context;
static char stack[65536];
static int turns;

static void inside(void)
{
    CHECK(fegetround() == FE_UPWARD);
    turns++;
    CHECK(swapcontext(&context, &home) == 0);
    CHECK(fegetround() == FE_UPWARD);
    turns++;
}

/* Leaves a copy at another place as the only one that is whole. */
static ucontext_t *moved(void)
{
    ucontext_t *copy = malloc(sizeof *copy);

    CHECK(copy != NULL);
    *copy = context;
    memset(&context, 0xa5, sizeof context);
    return copy;
}

int main(void)
{
    CHECK(fesetround(FE_UPWARD) == 0);
    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, inside, 0);
    CHECK(fesetround(FE_DOWNWARD) == 0);
    for (int turn = 1; turn <= 2; turn++) {
        ucontext_t *copy = moved();

        CHECK(swapcontext(&home, copy) == 0);
        CHECK(turns == turn && fegetround() == FE_DOWNWARD);
        free(copy);
    }
    END();
    return 0;
}
