/* Slicing under AddressSanitizer: the copier reads other people's frames without being reported, and frames
 * that come back are not reported for marks that others left at their addresses. A real overflow still is.
 *
 *     native: yes
 *     linkings: shared
 *     options: -O0 -O1 -O2
 *     compilers: gcc clang
 *     flags: -fsanitize=address
 */
#include "child.h"

#include <rctx.h>
#include <sanitizer/asan_interface.h>

enum { TASKS = 50, ROUNDS = 400 };

/* Whether locals move to the sanitizer's heap. They are in no slice then: one that is resumed twice loses them. */
#ifndef USE_AFTER_RETURN
#define USE_AFTER_RETURN 0
#endif

/* Leaks are another program's business. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return USE_AFTER_RETURN ? "detect_stack_use_after_return=1:detect_leaks=0"
                            : "detect_stack_use_after_return=0:detect_leaks=0";
}

static ucontext_t base, main_context, own_context, tasks[TASKS];
static rctx_slice_t *main_slice, *slices[TASKS];
static int rounds;

/* Arrays whose surroundings the sanitizer marks, of a shape that differs from task to task. */
static __attribute__((noinline)) void work(int number, int depth, void (*leave)(int))
{
    volatile char small[3], big[40 + 8 * 24];
    size_t used = 40 + (size_t)number % 8 * 24;

    for (size_t index = 0; index < used; index++)
        big[index] = (char)(number + (int)index);
    small[0] = small[2] = (char)number;
    if (depth > 0)
        work(number, depth - 1, leave);
    else
        leave(number);
    for (size_t index = 0; index < used; index++)
        CHECK(big[index] == (char)(number + (int)index));
    CHECK(small[0] == (char)number && small[2] == (char)number);
}

/* To a task that is deeper or shallower, or through a context with a stack of its own. */
static void leave_context(int number)
{
    const ucontext_t *next = &tasks[(number * 7 + 3) % TASKS];

    if (++rounds >= ROUNDS)
        next = &main_context;
    else if (rounds % 5 == 0)
        next = &own_context;
    CHECK(swapcontext_sliced(&tasks[number], next, &base) == 0);
}

static void run_context(void *number)
{
    for (;;)
        work((int)(intptr_t)number, (int)((intptr_t)number % 9), leave_context);
}

static void run_own(void *unused)
{
    (void)unused;
    for (int turn = 0;; turn++)
        CHECK(rctx_swapcontext(&own_context, &tasks[turn % TASKS]) == 0);
}

static void leave_slice(int number)
{
    int next = (number * 7 + 3) % TASKS;

    rounds++;
    /* Every third run of a task is dropped in the middle of its frames. */
    CHECK(rctx_slice_swap(rounds % 3 || USE_AFTER_RETURN ? &slices[number] : NULL,
                          rounds < ROUNDS ? slices[next] : main_slice, &base) == 0);
}

static void run_slice(void *number)
{
    for (;;)
        work((int)(intptr_t)number, (int)((intptr_t)number % 9), leave_slice);
}

static void begin_slice(void *number)
{
    CHECK(rctx_slice_swap(&slices[(intptr_t)number], main_slice, &base) == 0);
    run_slice(number);
}

static __attribute__((noinline)) void drive(void)
{
    volatile char surrounded[24];

    for (size_t index = 0; index < sizeof surrounded; index++)
        surrounded[index] = (char)index;
    for (intptr_t number = 0; number < TASKS; number++) {
        CHECK(rctx_makecontext_sliced(&tasks[number], &base, run_context, (void *)number) == 0);
        CHECK(rctx_slice_start(&main_slice, &base, begin_slice, (void *)number) == 0);
    }
    CHECK(rctx_stack_alloc(&own_context.uc_stack, 64 * 1024) == 0);
    rctx_makecontext(&own_context, run_own, NULL);

    CHECK(swapcontext_sliced(&main_context, &tasks[0], &base) == 0);
    CHECK(rounds == ROUNDS);
    rounds = 0;
    CHECK(rctx_slice_swap(&main_slice, slices[0], &base) == 0);
    CHECK(rounds == ROUNDS);
    for (size_t index = 0; index < sizeof surrounded; index++)
        CHECK(surrounded[index] == (char)index);

    for (int number = 0; number < TASKS; number++) {
        rctx_freecontext(&tasks[number]);
        rctx_slice_free(slices[number]);
    }
    rctx_freecontext(&main_context);
    rctx_slice_free(main_slice);
    CHECK(rctx_stack_free(&own_context.uc_stack) == 0);
}

/* Writes one byte behind an array: proves that the sanitizer is there, and that it still is after switches. */
static __attribute__((noinline)) void overflow(volatile char *array, size_t index)
{
    array[index] = 1;
}

static void overflow_array(void *unused)
{
    volatile char array[8];

    (void)unused;
    overflow(array, sizeof array);
}

static void expect_report(void)
{
    static char text[4096];

    CHECK(run_in_child(overflow_array, NULL, text, sizeof text) != 0);
    CHECK(strstr(text, "stack-buffer-overflow"));
}

int main(void)
{
    volatile char array[8];

    CHECK(__asan_address_is_poisoned((char *)&array + sizeof array));
    CHECK(getcontext(&base) == 0);
    drive();
    expect_report();
    END();
}
