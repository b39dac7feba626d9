/* An allocator that fails at the n-th call, for every n: each call of the library that is hit answers -1 and
 * ENOMEM, every context is as it was and still goes on, and the same call works when it is made again.
 *
 *     flags: -pthread
 */
#include "sliced_malloc.h"

#include <alloca.h>
#include <pthread.h>
#include <rctx.h>
#include <signal.h>

enum { MAIN, CHECKER, A, B, COPY, CAPTURED, FRAME, CONTEXTS };
enum { SMALLEST = 2000, GROWTH = 3000, ROUNDS = 4, LARGEST = 64 * 1024 };

static ucontext_t base, contexts[CONTEXTS];
static rctx_slice_t *main_slice, *task_slice;
static int current_a, finished[CONTEXTS], captured_returns;
static unsigned long refused;

static struct {
    ucontext_t context;
    char bytes[LARGEST];
} pictures[CONTEXTS];
static rctx_slice_t *main_slice_before, *task_slice_before;

static void take_pictures(void)
{
    for (int index = 0; index < CONTEXTS; index++) {
        size_t size = rctx_slice_size(&contexts[index]);

        pictures[index].context = contexts[index];
        CHECK(size <= LARGEST);
        if (size)
            memcpy(pictures[index].bytes, contexts[index].uc_stack.ss_sp, size);
    }
    main_slice_before = main_slice;
    task_slice_before = task_slice;
}

static void compare_pictures(void)
{
    for (int index = 0; index < CONTEXTS; index++) {
        size_t size = rctx_slice_size(&contexts[index]);

        CHECK(memcmp(&contexts[index], &pictures[index].context, sizeof contexts[index]) == 0);
        if (size)
            CHECK(memcmp(pictures[index].bytes, contexts[index].uc_stack.ss_sp, size) == 0);
    }
    CHECK(main_slice == main_slice_before && task_slice == task_slice_before);
}

static void go_through_all(void);

/* Makes the call until it is not refused. */
#define INSIST(call)                                                                              \
    do {                                                                                          \
        int failures_before;                                                                      \
        take_pictures();                                                                          \
        failures_before = failures;                                                               \
        errno = 0;                                                                                \
        if ((call) == 0)                                                                          \
            break;                                                                                \
        CHECK(errno == ENOMEM && failures > failures_before);                                     \
        compare_pictures();                                                                       \
        fail_at = -1;                                                                             \
        refused++;                                                                                \
        go_through_all();                                                                         \
    } while (1)

/* A context that is only looked after, by whoever was refused something. */
static int asked_by = -1;

static void answer_if_asked(int self)
{
    while (asked_by >= 0) {
        int asker = asked_by;

        asked_by = -1;
        CHECK(rctx_swapcontext_sliced(&contexts[self], &contexts[asker], &base) == 0);
    }
}

/* Resumes every suspended task once; each checks its frames and comes back. */
static void go_through_all(void)
{
    static const int tasks[] = {A, B, COPY};

    for (size_t index = 0; index < sizeof tasks / sizeof *tasks; index++) {
        int task = tasks[index];

        if (task == COPY ? current_a != COPY : task == A && current_a != A)
            continue;
        if (!rctx_slice_size(&contexts[task]) || finished[task])
            continue;
        asked_by = CHECKER;
        CHECK(rctx_swapcontext_sliced(&contexts[CHECKER], &contexts[task], &base) == 0);
        CHECK(asked_by == -1);
    }
}

/* Runs in deeper and deeper frames, so that each suspension needs more memory than the last. */
static void descend(int *self, int round, const int *next)
{
    size_t size = SMALLEST + (size_t)round * GROWTH;
    volatile char *room = alloca(size);

    memset((char *)room, 'a' + round, size);
    INSIST(swapcontext_sliced(&contexts[*self], &contexts[*next], &base));
    answer_if_asked(*self);
    for (size_t index = 0; index < size; index++)
        CHECK(room[index] == 'a' + round);
    if (round + 1 < ROUNDS)
        descend(self, round + 1, next);
    for (size_t index = 0; index < size; index++)
        CHECK(room[index] == 'a' + round);
}

static void run_a(void *unused)
{
    static const int next = B;

    (void)unused;
    answer_if_asked(A);
    descend(&current_a, 0, &next);
    finished[A] = finished[COPY] = 1;
}

static void run_b(void *unused)
{
    static const int next = MAIN;
    static int self = B;

    (void)unused;
    answer_if_asked(B);
    for (;;)
        descend(&self, 0, &next);
}

static void run_slice(void *unused)
{
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = SMALLEST + (size_t)round * GROWTH;
        volatile char *room = alloca(size);

        memset((char *)room, 'A' + round, size);
        INSIST(rctx_slice_swap(&task_slice, main_slice, &base));
        for (size_t index = 0; index < size; index++)
            CHECK(room[index] == 'A' + round);
    }
    CHECK(rctx_slice_swap(NULL, main_slice, NULL) == 0);
}

HANDLER static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    INSIST(rctx_copycontext(&contexts[FRAME], context));
}

static __attribute__((noinline)) void capture(void)
{
    INSIST(rctx_getcontext_sliced(&contexts[CAPTURED], &base));
}

static __attribute__((noinline)) void scenario(void)
{
    memset(contexts, 0, sizeof contexts);
    memset(finished, 0, sizeof finished);
    main_slice = task_slice = NULL;
    captured_returns = 0;
    current_a = A;

    contexts[A].uc_link = &contexts[MAIN];
    INSIST(rctx_makecontext_sliced(&contexts[A], &base, run_a, NULL));
    INSIST(rctx_makecontext_sliced(&contexts[B], &base, run_b, NULL));
    for (int round = 0; round < ROUNDS / 2; round++)
        INSIST(swapcontext_sliced(&contexts[MAIN], &contexts[A], &base));

    /* The rest of the way A goes in a copy. */
    INSIST(rctx_copycontext(&contexts[COPY], &contexts[A]));
    rctx_freecontext(&contexts[A]);
    current_a = COPY;
    while (!finished[A])
        INSIST(swapcontext_sliced(&contexts[MAIN], &contexts[COPY], &base));

    capture();
    if (captured_returns++ < 3)
        CHECK(rctx_setcontext(&contexts[CAPTURED]) == 0);

    INSIST(rctx_slice_start(&main_slice, &base, run_slice, NULL));
    for (int round = 0; round < ROUNDS; round++)
        INSIST(rctx_slice_swap(&main_slice, task_slice, &base));

    CHECK(raise(SIGUSR1) == 0);

    for (int index = 0; index < CONTEXTS; index++)
        rctx_freecontext(&contexts[index]);
    rctx_slice_free(main_slice);
    rctx_slice_free(task_slice);
}

static void *run_thread(void *nth)
{
    CHECK(getcontext(&base) == 0);
    fail_at = *(long *)nth;
    scenario();
    fail_at = -1;
    return NULL;
}

/* In a thread of its own, because the library learns a thread's stack once. */
static void run_once(long nth)
{
    pthread_t thread;

    failures = 0;
    CHECK(pthread_create(&thread, NULL, run_thread, &nth) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    long in_use, nth;

    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (fail_on = 0; fail_on < 2; fail_on++) {
        nth = 0;
        do {
            in_use = blocks_in_use;
            run_once(nth++);
            /* The first threads leave memory of the C library's behind. */
            CHECK(nth < 3 || blocks_in_use == in_use);
        } while (failures);
        printf("%ld allocations failed, one after another\n", nth - 1);
    }
    CHECK(refused > 0);
    printf("%lu calls were refused and made again\n", refused);
    END();
}
