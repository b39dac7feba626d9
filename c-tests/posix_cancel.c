/* pthread_exit and pthread_cancel inside a context: the thread ends, and the cleanups that were pushed in the context
 * run, innermost first, on its stack, found by the unwinder. It stops at the trampoline: above the stack lie return
 * addresses into a function that has a cleanup, too.
 *
 *     linkings: shared static preload oracle track
 *     compilers: gcc clang
 *     flags: -pthread -fexceptions
 */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <sched.h>

enum { STACK = 1 << 18, ABOVE = 64 };

static struct {
    char low[STACK];
    void *above[ABOVE];
} stacks[2];
static void *in_bystander;
static volatile int waiting;
static int cleaned;

static void clean(void *order)
{
    char here;

    CHECK(cleaned++ == (int)(intptr_t)order);
    CHECK(&here > (char *)stacks && &here < (char *)stacks + sizeof stacks);
}

static void never(void *unused)
{
    (void)unused;
    CHECK(!"the unwinder has gone past the trampoline");
}

__attribute__((noinline)) static void find_caller(void)
{
    in_bystander = __builtin_return_address(0);
    keep(&in_bystander);
}

__attribute__((noinline)) static void bystander(void)
{
    pthread_cleanup_push(never, NULL);
    find_caller();
    pthread_cleanup_pop(0);
}

__attribute__((noinline)) static void leave(int by_exit)
{
    pthread_cleanup_push(clean, (void *)0);
    if (by_exit)
        pthread_exit(&cleaned);
    waiting = 1;
#ifdef __powerpc64__
    while (emulated()) { /* qemu 7.2's signal frame, with which pause is left, is not one that the unwinder knows */
        pthread_testcancel();
        sched_yield();
    }
#endif
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
    const int index = by_exit != NULL;

    for (int i = 0; i < ABOVE; i++)
        stacks[index].above[i] = in_bystander;
    prepare(&context, stacks[index].low, STACK, &here);
    makecontext(&context, (void (*)(void))enter, 1, index);
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
    bystander();
    CHECK(end(1) == &cleaned);
    CHECK(end(0) == PTHREAD_CANCELED);
    END();
}
