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
    /* The result as well: clang may move the division of one without over a change of the rounding. */
    volatile double one = 1, three = 3, result = one / three;

    return result;
}

/* The exceptions that trap: a C library may lack the functions, and a processor the traps. */
static int enabled_traps(void)
{
#ifdef __GLIBC__
    return fegetexcept();
#else
    return 0;
#endif
}

static int enable_traps(void)
{
#ifdef __GLIBC__
    feenableexcept(FE_DIVBYZERO);
#endif
    return enabled_traps();
}

static void inside(void)
{
    double upward = third();

    CHECK(fegetround() == FE_UPWARD);
    CHECK(fesetround(FE_DOWNWARD) == 0);
    CHECK(third() < upward);
    int traps = enable_traps();
    CHECK(swapcontext(&context, &home) == 0);
    CHECK(fegetround() == FE_DOWNWARD && third() < upward);
    CHECK(enabled_traps() == traps);
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
        CHECK(enabled_traps() == 0);
    }
    END();
    return 0;
}
