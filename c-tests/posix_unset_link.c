/* uc_link is not looked at before the function returns: garbage in it harms nobody who does not.
 *
 *     linkings: shared static preload oracle
 */
#include "check.h"

static ucontext_t home, context;
static char stack[65536];
static int turns;

static void forever(void)
{
    for (;;) {
        turns++;
        CHECK(swapcontext(&context, &home) == 0);
    }
}

int main(void)
{
    static const uintptr_t garbage[] = {1, 0xa5a5a5a5, ~(uintptr_t)0, ~(uintptr_t)0 >> 1};

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        prepare(&context, stack, sizeof stack, (ucontext_t *)garbage[i]);
        makecontext(&context, forever, 0);
        for (int round = 0; round < 3; round++)
            CHECK(swapcontext(&home, &context) == 0);
    }
    CHECK(turns == 12);
    END();
    return 0;
}
