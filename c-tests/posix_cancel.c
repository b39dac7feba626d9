/* pthread_exit and pthread_cancel inside a context: the thread ends, and the cleanups that were pushed in the context
 * run, innermost first, on its stack.
 *
 *     linkings: shared static preload oracle
 *     compilers: gcc clang
 *     flags: -pthread
 */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>

enum { STACK = 1 << 18 };

static char stacks[2][STACK];
static volatile int waiting;
static int cleaned;

static void clean(void *order)
{
    char here;

    CHECK(cleaned++ == (int)(intptr_t)order);
    CHECK(&here > (char *)stacks && &here < (char *)stacks + sizeof stacks);
}

__attribute__((noinline)) static void leave(int by_exit)
{
    pthread_cleanup_push(clean, (void *)0);
    if (by_exit)
        pthread_exit(&cleaned);
    waiting = 1;
    for (;;)
        pause();
    pthread_cleanup_pop(0);
}

static void enter(int by_exit)
{
    pthread_cleanup_push(clean, (void *)1);
    leave(by_exit);
    pthread_cleanup_pop(0);
}

static void *run(void *by_exit)
{
    ucontext_t here, context;

    prepare(&context, stacks[by_exit != NULL], STACK, &here);
    makecontext(&context, (void (*)(void))enter, 1, by_exit != NULL);
    swapcontext(&here, &context);
    CHECK(!"the context comes back");
    return NULL;
}

static void *end(int by_exit)
{
    pthread_t thread;
    void *result;

    cleaned = 0;
    CHECK(pthread_create(&thread, NULL, run, by_exit ? stacks : NULL) == 0);
    if (!by_exit) {
        while (!waiting)
            usleep(1000);
        CHECK(pthread_cancel(thread) == 0);
    }
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(cleaned == 2);
    return result;
}

int main(void)
{
    CHECK(end(1) == &cleaned);
    CHECK(end(0) == PTHREAD_CANCELED);
    END();
}
