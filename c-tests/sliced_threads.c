/* Two threads slice at once, each on its own stack; a third's slices are refused everywhere else; a sliced context
 * without a uc_link ends its thread.
 *
 *     flags: -pthread
 *     valgrind: memcheck
 */
#include "check.h"

#include <alloca.h>
#include <pthread.h>
#include <rctx.h>

enum { THREADS = 2, TASKS = 20, ROUNDS = 5000 };

struct task {
    struct thread *thread;
    int number;
};

struct thread {
    struct task arguments[TASKS]; /* not in a frame that is suspended while they are read */
    ucontext_t base, main_context, tasks[TASKS];
    rctx_slice_t *main_slice, *slice;
    int number, running, turns;
};

static struct thread threads[THREADS];
static pthread_barrier_t barrier;
static int cleaned;

static void leave(const struct task *task, size_t depth)
{
    struct thread *thread = task->thread;
    volatile char *room = alloca(depth);

    room[0] = room[depth - 1] = (char)task->number;
    CHECK(swapcontext_sliced(&thread->tasks[task->number], &thread->main_context, &thread->base) == 0);
    CHECK(thread->running == task->number);
    CHECK(room[0] == (char)task->number && room[depth - 1] == (char)task->number);
}

static void run(void *argument)
{
    const struct task *task = argument;

    for (int round = 1;; round++) {
        leave(task, 1 + (size_t)round * 37 % 3000);
        task->thread->turns++;
    }
}

static void run_slice(void *argument)
{
    struct thread *thread = argument;

    for (;;) {
        CHECK(rctx_slice_swap(&thread->slice, thread->main_slice, &thread->base) == 0);
        thread->turns++;
    }
}

/* Of the other thread: nothing but an error. */
static void trespass(struct thread *thread, struct thread *other)
{
    rctx_slice_t *handle = NULL;

    CHECK_FAILS(swapcontext_sliced(&thread->main_context, &other->tasks[0], &thread->base), EINVAL);
    CHECK_FAILS(swapcontext_sliced(&thread->main_context, &thread->tasks[0], &other->base), EINVAL);
    CHECK_FAILS(setcontext(&other->tasks[0]), EINVAL);
    CHECK_FAILS(rctx_slice_swap(&handle, other->slice, &thread->base), EINVAL);
    CHECK_FAILS(rctx_slice_swap(&handle, thread->slice, &other->base), EINVAL);
    CHECK_FAILS(rctx_slice_swap(NULL, other->slice, NULL), EINVAL);
    CHECK(!handle);
}

static __attribute__((noinline)) void drive(struct thread *thread)
{
    struct thread *other = &threads[1 - thread->number];

    for (int number = 0; number < TASKS; number++) {
        struct task *task = &thread->arguments[number];

        *task = (struct task){.thread = thread, .number = number};
        CHECK(rctx_makecontext_sliced(&thread->tasks[number], &thread->base, run, task) == 0);
        thread->running = number;
        CHECK(swapcontext_sliced(&thread->main_context, &thread->tasks[number], &thread->base) == 0);
    }
    CHECK(rctx_slice_start(&thread->main_slice, &thread->base, run_slice, thread) == 0);

    pthread_barrier_wait(&barrier);
    trespass(thread, other);
    pthread_barrier_wait(&barrier);
    for (int round = 0; round < ROUNDS; round++) {
        thread->running = round * 7 % TASKS;
        CHECK(rctx_swapcontext_sliced(&thread->main_context, &thread->tasks[thread->running],
                                      &thread->base) == 0);
        CHECK(rctx_slice_swap(&thread->main_slice, thread->slice, &thread->base) == 0);
    }
    CHECK(thread->turns == 2 * ROUNDS);
    pthread_barrier_wait(&barrier);
    for (int number = 0; number < TASKS; number++)
        rctx_freecontext(&thread->tasks[number]);
    rctx_freecontext(&thread->main_context);
    rctx_slice_free(thread->slice);
    rctx_slice_free(thread->main_slice);
}

static void *run_thread(void *argument)
{
    struct thread *thread = argument;

    CHECK(getcontext(&thread->base) == 0);
    drive(thread);
    return argument;
}

static pthread_key_t key;

static void note(void *value)
{
    cleaned += *(int *)value;
}

static void return_without_link(void *unused)
{
    (void)unused;
}

static void *run_unlinked(void *one)
{
    static ucontext_t base, task;

    CHECK(pthread_setspecific(key, one) == 0);
    CHECK(getcontext(&base) == 0);
    CHECK(rctx_makecontext_sliced(&task, &base, return_without_link, NULL) == 0);
    CHECK(setcontext(&task) == 0);
    return one;
}

int main(void)
{
    pthread_t ids[THREADS], unlinked;
    int one = 1;

    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (int number = 0; number < THREADS; number++) {
        threads[number].number = number;
        CHECK(pthread_create(&ids[number], NULL, run_thread, &threads[number]) == 0);
    }
    for (int number = 0; number < THREADS; number++)
        CHECK(pthread_join(ids[number], NULL) == 0);

    CHECK(pthread_key_create(&key, note) == 0);
    CHECK(pthread_create(&unlinked, NULL, run_unlinked, &one) == 0);
    CHECK(pthread_join(unlinked, NULL) == 0);
    CHECK(cleaned == 1);
    END();
}
