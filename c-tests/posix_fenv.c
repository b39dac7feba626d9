/* The floating-point environment belongs to the context: what one sets, no other sees. A fresh context has that
 * of its getcontext.
 *
 *     linkings: shared static preload oracle
 *     compilers: gcc clang
 *     flags: -lm -frounding-math
 */
#define _GNU_SOURCE
#include "check.h"

#include <fenv.h>

static ucontext_t home, context;
static char stack[65536];

static double third(void)
{
    volatile double one = 1, three = 3;
    return one / three;
}

static void inside(void)
{
    double upward = third();

    CHECK(fegetround() == FE_UPWARD);
    CHECK(fesetround(FE_DOWNWARD) == 0);
    CHECK(third() < upward);
    int traps = feenableexcept(FE_DIVBYZERO) != -1; /* not every processor can */
    CHECK(swapcontext(&context, &home) == 0);
    CHECK(fegetround() == FE_DOWNWARD && third() < upward);
    CHECK(fegetexcept() == (traps ? FE_DIVBYZERO : 0));
}

int main(void)
{
    CHECK(fesetround(FE_UPWARD) == 0);
    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, inside, 0);
    CHECK(fesetround(FE_TOWARDZERO) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(swapcontext(&home, &context) == 0);
        CHECK(fegetround() == FE_TOWARDZERO);
        CHECK(fegetexcept() == 0);
    }
    END();
    return 0;
}
