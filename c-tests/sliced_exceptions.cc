/* C++ exceptions are thrown and caught inside sliced frames, between suspensions, and a backtrace there ends
 * cleanly where the context began.
 *
 *     options: -O0 -O1 -O2 -O3
 *     compilers: gcc clang
 *     valgrind: memcheck
 */
#include "backtrace.h"
#include "check.h"

#include <rctx.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

const int TASKS = 20, ROUNDS = 100, FRAMES = 8;

ucontext_t base, main_context, tasks[TASKS];
rctx_slice_t *main_slice, *slices[TASKS];
bool by_handle;
int destroyed, finished;

void leave(int number)
{
    if (by_handle)
        CHECK(rctx_slice_swap(&slices[number], main_slice, &base) == 0);
    else
        CHECK(swapcontext_sliced(&tasks[number], &tasks[(number + 3) % TASKS], &base) == 0);
}

/* Suspends its context while it is constructed and while the stack is unwound past it; not on arm, where the
 * runtime keeps per thread what is being unwound, as it keeps what is caught. */
struct Guard {
    int number;
    std::vector<int> values;

    explicit Guard(int number) : number(number), values(50, number)
    {
        leave(number);
    }
    ~Guard()
    {
#ifndef __ARM_EABI__
        leave(number);
#endif
        for (int value : values)
            CHECK(value == number);
        destroyed++;
    }
};

_Unwind_Reason_Code count_frame(struct _Unwind_Context *, void *frames)
{
    ++*static_cast<int *>(frames);
    return _URC_NO_REASON;
}

/* The thread's own frames, main's among them, are not to be seen. */
__attribute__((noinline)) void take_backtrace()
{
    int frames = 0;

    CHECK(is_end(_Unwind_Backtrace(count_frame, &frames)));
    CHECK(frames >= 2 && frames < 4 * FRAMES);
}

__attribute__((noinline)) int descend(int number, int depth)
{
    volatile int local = number * 100 + depth;

    if (depth == 0) {
        leave(number);
        take_backtrace();
        throw std::runtime_error("from " + std::to_string(number));
    }
    Guard guard(number);
    try {
        int below = descend(number, depth - 1);
        CHECK(local == number * 100 + depth);
        return below + 1;
    } catch (const std::logic_error &) {
        CHECK(!"another type");
    }
    return 0;
}

void work(int number)
{
    for (int round = 0; round < ROUNDS / TASKS; round++) {
        std::string text;

        try {
            descend(number, FRAMES);
            CHECK(!"thrown");
        } catch (const std::runtime_error &error) {
            text = error.what(); /* no switch in here: the runtime keeps what is caught per thread */
        }
        leave(number);
        CHECK(text == "from " + std::to_string(number));
        try {
            throw number;
        } catch (int caught) {
            CHECK(caught == number);
        }
    }
}

void run(void *argument)
{
    int number = static_cast<int>(reinterpret_cast<intptr_t>(argument));

    work(number);
    finished++;
    while (finished < TASKS)
        leave(number);
    CHECK(setcontext(&main_context) == 0);
}

void run_slice(void *argument)
{
    int number = static_cast<int>(reinterpret_cast<intptr_t>(argument));

    work(number);
    finished++;
    rctx_slice_free(slices[number]);
    slices[number] = nullptr;
    CHECK(rctx_slice_swap(nullptr, main_slice, &base) == 0);
}

__attribute__((noinline)) void drive()
{
    for (intptr_t number = 0; number < TASKS; number++)
        CHECK(rctx_makecontext_sliced(&tasks[number], &base, run, reinterpret_cast<void *>(number)) == 0);
    CHECK(swapcontext_sliced(&main_context, &tasks[0], &base) == 0);
    CHECK(finished == TASKS && destroyed == FRAMES * ROUNDS);

    by_handle = true;
    finished = destroyed = 0;
    for (intptr_t number = 0; number < TASKS; number++)
        CHECK(rctx_slice_start(&main_slice, &base, run_slice, reinterpret_cast<void *>(number)) == 0);
    while (finished < TASKS)
        for (int number = 0; number < TASKS; number++)
            if (slices[number])
                CHECK(rctx_slice_swap(&main_slice, slices[number], &base) == 0);
    CHECK(destroyed == FRAMES * ROUNDS);

    for (int number = 0; number < TASKS; number++)
        rctx_freecontext(&tasks[number]);
    rctx_freecontext(&main_context);
    rctx_slice_free(main_slice);
}

} // namespace

int main()
{
    CHECK(getcontext(&base) == 0);
    drive();
    END();
}
