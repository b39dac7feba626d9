/* What a memory or race checker must say nothing about, and a way to see that it is there: contexts on every kind
 * of stack that leave their frames by longjmp, go from stack to stack by every function, end, are made again, move
 * between threads, and end them.
 */
#ifndef WATCHED_H
#define WATCHED_H
#include "child.h"

#include <pthread.h>
#include <rctx.h>
#include <setjmp.h>

/* Whether a stack may be an array in a frame of another. */
#ifndef LOCAL_STACK
#define LOCAL_STACK 1
#endif

enum { STACK_SIZE = 64 * 1024, TURNS = 40, MOVING = 12, STEPS = 20, WORKERS = 3 };

/* Frames of arrays, left at once. */
static __attribute__((noinline)) void leave_from(int depth, jmp_buf *target)
{
    volatile char room[100];

    memset((char *)room, depth, sizeof room);
    if (depth > 0)
        leave_from(depth - 1, target);
    if (room[99] == depth)
        longjmp(*target, 1);
}

static __attribute__((noinline)) void set_and_check(int *local, int value)
{
    *local = value;
    keep(local);
}

static ucontext_t watched_home, watched[2];
static int watched_ended;

/* The environments of both are alive at once, on different stacks. */
static void take_turns(void *argument)
{
    int self = (int)(intptr_t)argument;

    for (volatile int turn = 0; turn < TURNS; turn++) {
        volatile int local;
        jmp_buf target;
        volatile char room[60];

        set_and_check((int *)&local, turn * 2 + self);
        memset((char *)room, turn, sizeof room);
        if (setjmp(target) == 0) {
            CHECK(turn % 2 ? swapcontext(&watched[self], &watched[!self]) == 0
                           : rctx_swapcontext(&watched[self], &watched[!self]) == 0);
            leave_from(self ? 3 : 30, &target);
        }
        CHECK(local == turn * 2 + self && room[59] == (char)turn);
    }
    watched_ended++;
}

static void make(ucontext_t *ucp, void *low, void (*function)(void *), void *argument, ucontext_t *link)
{
    memset(ucp, 0, sizeof *ucp);
    ucp->uc_stack.ss_sp = low;
    ucp->uc_stack.ss_size = STACK_SIZE;
    ucp->uc_link = link;
    rctx_makecontext(ucp, function, argument);
}

static void watch_turns(void *low, void *other)
{
    watched_ended = 0;
    make(&watched[0], low, take_turns, (void *)0, &watched_home);
    make(&watched[1], other, take_turns, (void *)1, &watched_home);
    CHECK(swapcontext(&watched_home, &watched[0]) == 0);
    while (watched_ended < 2) /* the first one that ends leaves the other where it was */
        CHECK(swapcontext(&watched_home, &watched[1]) == 0);
}

static void go_back(void *captured)
{
    setcontext(captured);
    CHECK(!"reached");
}

/* From another stack to where getcontext stood: the context is left for good, and its stack is used again. */
static __attribute__((noinline)) void watch_capture(void *low)
{
    static ucontext_t captured;
    volatile int returns = 0;
    jmp_buf target;

    CHECK(getcontext(&captured) == 0);
    if (returns++ < 20) {
        if (setjmp(target) == 0)
            leave_from(8, &target);
        make(&watched[0], low, go_back, &captured, NULL);
        setcontext(&watched[0]);
    }
    CHECK(returns == 21);
}

/* Contexts that move between threads: each is in the queue or with one thread. */
static struct moving {
    ucontext_t context;
    ucontext_t *worker;
    int steps, ended;
} moving[MOVING];
static struct moving *queue[MOVING];
static int queued, unfinished;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;

static void move(void *argument)
{
    struct moving *self = argument;
    volatile char room[50];

    memset((char *)room, (int)(self - moving), sizeof room);
    for (; self->steps < STEPS; self->steps++)
        CHECK(swapcontext(&self->context, self->worker) == 0);
    for (size_t index = 0; index < sizeof room; index++)
        CHECK(room[index] == self - moving);
    self->ended = 1;
    CHECK(rctx_swapcontext(&self->context, self->worker) == 0);
}

static void end_here(void *unused)
{
    (void)unused;
}

static void *work(void *last_stack)
{
    ucontext_t worker, last;

    for (;;) {
        struct moving *mine = NULL;
        int all_done;

        CHECK(pthread_mutex_lock(&queue_lock) == 0);
        all_done = unfinished == 0;
        if (queued > 0)
            mine = queue[--queued];
        CHECK(pthread_mutex_unlock(&queue_lock) == 0);
        if (all_done)
            break;
        if (!mine)
            continue;
        mine->worker = &worker;
        CHECK(swapcontext(&worker, &mine->context) == 0);
        CHECK(pthread_mutex_lock(&queue_lock) == 0);
        if (mine->ended)
            unfinished--;
        else {
            memmove(queue + 1, queue, (size_t)queued++ * sizeof *queue);
            queue[0] = mine;
        }
        CHECK(pthread_mutex_unlock(&queue_lock) == 0);
    }
    make(&last, last_stack, end_here, NULL, NULL);
    setcontext(&last); /* ends the thread */
    return NULL;
}

static void watch_threads(void)
{
    static char stacks[MOVING + WORKERS][STACK_SIZE] __attribute__((aligned(16)));
    pthread_t workers[WORKERS];

    for (int index = 0; index < MOVING; index++) {
        moving[index].steps = moving[index].ended = 0;
        make(&moving[index].context, stacks[index], move, &moving[index], NULL);
        queue[index] = &moving[index];
    }
    queued = unfinished = MOVING;
    for (int index = 0; index < WORKERS; index++)
        CHECK(pthread_create(&workers[index], NULL, work, stacks[MOVING + index]) == 0);
    for (int index = 0; index < WORKERS; index++)
        CHECK(pthread_join(workers[index], NULL) == 0);
    for (int index = 0; index < MOVING; index++)
        CHECK(moving[index].steps == STEPS);
}

/* Everything above. */
static __attribute__((noinline, unused)) void watch_all(void)
{
    static char global[2][STACK_SIZE] __attribute__((aligned(16)));
    char *heap[2] = {malloc(STACK_SIZE), malloc(STACK_SIZE)};
    char local[STACK_SIZE];
    stack_t mapped;

    CHECK(heap[0] && heap[1]);
    CHECK(rctx_stack_alloc(&mapped, STACK_SIZE) == 0);
    for (int round = 0; round < 3; round++) {
        watch_turns(heap[0], heap[1]);
        watch_turns(heap[1], heap[0]);
        watch_turns(global[0], mapped.ss_sp);
        watch_turns(LOCAL_STACK ? local : heap[0], global[1]);
        watch_capture(heap[0]);
        watch_capture(mapped.ss_sp);
    }
    CHECK(rctx_stack_free(&mapped) == 0);
    free(heap[0]);
    free(heap[1]);
    watch_threads();
}

static volatile int raced;

static void increment(void *unused)
{
    (void)unused;
    for (int turn = 0; turn < 1000; turn++)
        raced++;
}

static void *increment_inside(void *stack)
{
    ucontext_t context, here;

    make(&context, stack, increment, NULL, &here);
    CHECK(swapcontext(&here, &context) == 0);
    return NULL;
}

/* Two threads write one variable without a lock, each in a context. */
__attribute__((unused)) static void race(void)
{
    static char stacks[2][STACK_SIZE] __attribute__((aligned(16)));
    pthread_t threads[2];

    for (int index = 0; index < 2; index++)
        CHECK(pthread_create(&threads[index], NULL, increment_inside, stacks[index]) == 0);
    for (int index = 0; index < 2; index++)
        CHECK(pthread_join(threads[index], NULL) == 0);
}

static void run_fault(void *function)
{
    (*(void (**)(void))function)();
}

static void run_fault_inside(void *function)
{
    static char stack[STACK_SIZE] __attribute__((aligned(16)));
    ucontext_t context, here;

    make(&context, stack, run_fault, function, &here);
    CHECK(swapcontext(&here, &context) == 0);
}

/* Runs `fault` inside a context, after switches, in a child: `report` must be in what the checker says. */
__attribute__((unused)) static void expect_report(void (*fault)(void), const char *report)
{
    static char text[65536];

    run_in_child(run_fault_inside, &fault, text, sizeof text);
    if (!strstr(text, report))
        fprintf(stderr, "%s", text);
    CHECK(strstr(text, report));
}
#endif
