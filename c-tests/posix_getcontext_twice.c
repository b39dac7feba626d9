/* getcontext returns again at every resume; and contexts that know no other switch than this and setcontext.
 *
 *     linkings: shared static preload oracle
 *     compilers: gcc clang
 *     options: -O0 -O1 -O2 -Os
 *     valgrind: memcheck
 */
#include "check.h"

static ucontext_t loop, contexts[2];
static char stack[65536];
static ucontext_t *volatile itself = &loop; /* the declaration says restrict */
static volatile int returns, turns[2];

static void switch_to(int from, int to)
{
    volatile int resumed = 0;

    CHECK(getcontext(&contexts[from]) == 0);
    if (!resumed) {
        resumed = 1;
        setcontext(&contexts[to]);
        CHECK(!"setcontext returned");
    }
}

static void other(void)
{
    for (;;) {
        turns[1]++;
        switch_to(1, 0);
    }
}

int main(void)
{
    errno = 123;
    CHECK(getcontext(&loop) == 0);
    CHECK(errno == 123);
    if (++returns < 1000)
        setcontext(&loop);
    CHECK(returns == 1000);

    CHECK(swapcontext(&loop, itself) == 0); /* saved, then resumed at once */
    CHECK(errno == 123);

    prepare(&contexts[1], stack, sizeof stack, NULL);
    makecontext(&contexts[1], other, 0);
    while (turns[0] < 1000) {
        turns[0]++;
        switch_to(0, 1);
        CHECK(turns[1] == turns[0]);
    }
    END();
    return 0;
}
