/* Two threads resume the same contexts by turns: each goes on in the other thread.
 *
 *     linkings: shared static preload oracle track
 *     flags: -pthread
 *     valgrind: memcheck
 */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <sys/syscall.h>

enum { CONTEXTS = 8, ROUNDS = 500, STACK = 65536 };

static struct task {
    ucontext_t context;
    ucontext_t *resumer;
    long thread;
    int turns;
} tasks[CONTEXTS];
static pthread_barrier_t round_over;

/* Not from libc, which the compiler believes to answer the same all through a function. */
static long thread_id(void)
{
    return syscall(SYS_gettid);
}

static void turn(struct task *task)
{
    volatile long local = (long)(task - tasks);

    for (;;) {
        CHECK(thread_id() == task->thread && local == task - tasks);
        task->turns++;
        swapcontext(&task->context, task->resumer);
    }
}

static void *resume_every_other(void *odd)
{
    ucontext_t here;

    for (int round = 0; round < ROUNDS; round++) {
        if (round % 2 == (odd != NULL))
            for (int i = 0; i < CONTEXTS; i++) {
                tasks[i].resumer = &here;
                tasks[i].thread = thread_id();
                swapcontext(&here, &tasks[i].context);
                CHECK(thread_id() == tasks[i].thread);
            }
        pthread_barrier_wait(&round_over);
    }
    return NULL;
}

int main(void)
{
    static char stacks[CONTEXTS][STACK];
    pthread_t other;

    for (int i = 0; i < CONTEXTS; i++) {
        prepare(&tasks[i].context, stacks[i], STACK, NULL);
        makecontext(&tasks[i].context, (void (*)(void))turn, 1, &tasks[i]);
    }
    CHECK(pthread_barrier_init(&round_over, NULL, 2) == 0);
    CHECK(pthread_create(&other, NULL, resume_every_other, tasks) == 0);
    resume_every_other(NULL);
    CHECK(pthread_join(other, NULL) == 0);
    for (int i = 0; i < CONTEXTS; i++)
        CHECK(tasks[i].turns == ROUNDS);
    END();
    return 0;
}
