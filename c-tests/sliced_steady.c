/* On the steady path the sliced functions call the allocator not once, and the twins make no system call. */
#include "seccomp.h"
#include "sliced_malloc.h"

#include <alloca.h>
#include <rctx.h>

enum { ROUNDS = 2000, SHALLOW = 100, DEEP = 5000 };

static ucontext_t base, main_context, task;
static rctx_slice_t *main_slice, *task_slice;
static int turns;

static __attribute__((noinline)) void leave(size_t depth)
{
    volatile char *room = alloca(depth);

    room[0] = room[depth - 1] = (char)turns;
    CHECK((turns % 3 ? rctx_swapcontext_sliced : swapcontext_sliced)(&task, &main_context, &base) == 0);
    turns++;
    CHECK(room[0] == room[depth - 1]);
}

/* The depth varies: what fitted once fits again. */
static void run(void *unused)
{
    (void)unused;
    for (;;)
        leave(turns % 2 ? SHALLOW : DEEP);
}

static __attribute__((noinline)) void leave_slice(size_t depth)
{
    volatile char *room = alloca(depth);

    room[0] = room[depth - 1] = (char)turns;
    CHECK(rctx_slice_swap(&task_slice, main_slice, &base) == 0);
    turns++;
    CHECK(room[0] == room[depth - 1]);
}

/* The handle shrinks when less than half is used: steady is what stays above. */
static void run_slice(void *unused)
{
    (void)unused;
    for (;;)
        leave_slice(turns % 2 ? DEEP : DEEP * 2 / 3);
}

/* Turns of both kinds; what the first ones allocate is not counted. */
static __attribute__((noinline)) void take_turns(int rounds)
{
    for (int round = 0; round < rounds; round++) {
        CHECK(rctx_swapcontext_sliced(&main_context, &task, &base) == 0);
        CHECK(rctx_slice_swap(&main_slice, task_slice, &base) == 0);
    }
}

static __attribute__((noinline)) void drive(void)
{
    unsigned long allocations_before, releases_before;

    CHECK(rctx_makecontext_sliced(&task, &base, run, NULL) == 0);
    CHECK(rctx_slice_start(&main_slice, &base, run_slice, NULL) == 0);
    take_turns(4);
    allocations_before = allocations;
    releases_before = releases;
    take_turns(ROUNDS);
    CHECK(allocations == allocations_before && releases == releases_before);
    CHECK(rctx_sigmask(RCTX_SIGMASK_NONE) == RCTX_SIGMASK_POSIX); /* every third turn is the unprefixed one's */
    fflush(stdout);
    if (!emulated())
        allow_only_the_end();
    take_turns(ROUNDS);
    CHECK(allocations == allocations_before && releases == releases_before);
}

int main(void)
{
    CHECK(getcontext(&base) == 0);
    drive();
    END();
    _Exit(0); /* what libc does at exit needs other calls */
}
