/* A function that returns to a null uc_link ends its thread; in the main thread, the process with status 0,
 * other threads or not, by way of exit().
 *
 *     linkings: shared static preload oracle
 *     flags: -pthread
 *     valgrind: memcheck
 */
#include "check.h"

#include <pthread.h>

static ucontext_t context;
static char stack[65536];
static int entered;

static void enter(void)
{
    entered = 1;
}

static void finish(void)
{
    CHECK(entered);
    END();
}

static void *wait_forever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

int main(void)
{
    pthread_t other;

    CHECK(pthread_create(&other, NULL, wait_forever, NULL) == 0);
    CHECK(atexit(finish) == 0);
    prepare(&context, stack, sizeof stack, NULL);
    makecontext(&context, enter, 0);
    setcontext(&context);
    return 1;
}
