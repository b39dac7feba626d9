/* The floating-point environment belongs to each sliced context, and values in callee-saved and vector registers
 * that the compiler keeps across the call come back.
 *
 *     options: -O0 -O2 -O3
 *     compilers: gcc clang
 *     flags: -frounding-math -lm
 *     valgrind: memcheck
 */
#include "check.h"

#include <fenv.h>
#include <rctx.h>

enum { TASKS = 8, ROUNDS = 500 };

static ucontext_t base, main_context, tasks[TASKS];
static rctx_slice_t *main_slice, *slices[TASKS];
static int finished;
static const int roundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

/* Different in each rounding, and computed when it is asked for. */
static volatile double one = 1;
static volatile long double long_one = 1;

static double third(void)
{
    volatile double result = one / 3.0; /* rounds to a double where registers are wider; is not moved */

    return result;
}

static long double long_third(void)
{
    volatile long double result = long_one / 3.0L;

    return result;
}

static void work(int number, void (*leave)(int, int))
{
    double sum = 0, expected = third(), scale = number + 0.5;
    long double long_expected = long_third();

    for (int round = 0; round < ROUNDS; round++) {
        leave(number, round);
        CHECK(fegetround() == roundings[number % 4]);
        CHECK(third() == expected && long_third() == long_expected);
        sum += scale;
    }
    /* Halves: exact in every rounding. */
    CHECK(sum == scale * ROUNDS);
}

static void leave_context(int number, int round)
{
    CHECK((round % 2 ? swapcontext_sliced : rctx_swapcontext_sliced)(
              &tasks[number], &tasks[(number + 1) % TASKS], &base) == 0);
}

static void run(void *argument)
{
    int number = (int)(intptr_t)argument;

    /* The environment of the one who made the context. */
    CHECK(fegetround() == FE_UPWARD);
    fesetround(roundings[number % 4]);
    work(number, leave_context);
    if (++finished == TASKS)
        CHECK(setcontext(&main_context) == 0);
    leave_context(number, 0);
    CHECK(!"resumed");
}

static void leave_slice(int number, int round)
{
    (void)round;
    CHECK(rctx_slice_swap(&slices[number], main_slice, &base) == 0);
}

static void run_slice(void *argument)
{
    int number = (int)(intptr_t)argument;

    fesetround(roundings[number % 4]);
    work(number, leave_slice);
    finished++;
    CHECK(rctx_slice_swap(NULL, main_slice, NULL) == 0);
}

static __attribute__((noinline)) void drive(void)
{
    fesetround(FE_UPWARD);
    for (intptr_t number = 0; number < TASKS; number++)
        CHECK(rctx_makecontext_sliced(&tasks[number], &base, run, (void *)number) == 0);
    fesetround(FE_DOWNWARD);
    double downward = third();
    CHECK(swapcontext_sliced(&main_context, &tasks[0], &base) == 0);
    CHECK(finished == TASKS && fegetround() == FE_DOWNWARD);

    CHECK(third() == downward);
    finished = 0;
    for (intptr_t number = 0; number < TASKS; number++) {
        CHECK(rctx_slice_start(&main_slice, &base, run_slice, (void *)number) == 0);
        CHECK(fegetround() == FE_DOWNWARD);
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int number = 0; number < TASKS; number++) {
            CHECK(rctx_slice_swap(&main_slice, slices[number], &base) == 0);
            CHECK(fegetround() == FE_DOWNWARD);
        }
    CHECK(finished == TASKS);
    for (int number = 0; number < TASKS; number++) {
        rctx_freecontext(&tasks[number]);
        rctx_slice_free(slices[number]);
    }
    rctx_freecontext(&main_context);
    rctx_slice_free(main_slice);
}

int main(void)
{
    CHECK(getcontext(&base) == 0);
    drive();
    END();
}
