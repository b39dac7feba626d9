/* A handler swaps to another context in the middle, and is resumed later: then the interrupted code goes on.
 *
 *     linkings: shared static preload oracle track
 *     compilers: gcc clang
 *     valgrind: memcheck
 */
#include "check.h"

#include <signal.h>

static ucontext_t scheduler, context, in_handler;
static char stack[1 << 18];
static int interrupted, resumed;

static int blocked(void)
{
    sigset_t set;

    CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0);
    return sigismember(&set, SIGUSR1);
}

HANDLER static void handle(int signal)
{
    CHECK(blocked());
    interrupted += signal == SIGUSR1;
    CHECK(swapcontext(&in_handler, &scheduler) == 0);
    CHECK(blocked());
}

static void worker(void)
{
    for (;;) {
        volatile uint64_t kept = next_random(), copy = kept;

        CHECK(raise(SIGUSR1) == 0);
        CHECK(!blocked());
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
        CHECK(interrupted == round && resumed == round - 1 && !blocked());
        CHECK(swapcontext(&scheduler, &in_handler) == 0);
        CHECK(interrupted == round && resumed == round && !blocked());
    }
    END();
    return 0;
}
