/* A handler swaps to another context in the middle, and is resumed later: then the interrupted code goes on.
 *
 *     linkings: shared static preload oracle track
 *     compilers: gcc clang
 *     valgrind: memcheck
 */
#include "check.h"

static ucontext_t scheduler, context, in_handler;
static char stack[1 << 18];
static int interrupted, resumed;

HANDLER static void handle(int signal)
{
    CHECK(is_blocked(SIGUSR1));
    interrupted += signal == SIGUSR1;
    CHECK(swapcontext(&in_handler, &scheduler) == 0);
    CHECK(is_blocked(SIGUSR1));
}

static void worker(void)
{
    for (;;) {
        volatile uint64_t kept = next_random(), copy = kept;

        CHECK(raise(SIGUSR1) == 0);
        CHECK(!is_blocked(SIGUSR1));
        CHECK(kept == copy);
        resumed++;
        CHECK(swapcontext(&context, &scheduler) == 0);
    }
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle};

    seed_random();
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    prepare(&context, stack, sizeof stack, NULL);
    makecontext(&context, worker, 0);
    for (int round = 1; round <= 100; round++) {
        CHECK(swapcontext(&scheduler, &context) == 0);
        CHECK(interrupted == round && resumed == round - 1 && !is_blocked(SIGUSR1));
        CHECK(swapcontext(&scheduler, &in_handler) == 0);
        CHECK(interrupted == round && resumed == round && !is_blocked(SIGUSR1));
    }
    END();
    return 0;
}
