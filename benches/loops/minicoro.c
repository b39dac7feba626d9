/* minicoro, with the memory of its own allocator. */
#include "loops.h"

#define MINICORO_IMPL
#include <minicoro.h>

static void task(mco_coro *self)
{
    for (;;)
        mco_yield(self);
}

static mco_coro *start(void)
{
    mco_desc description = mco_desc_init(task, STACK_SIZE);
    mco_coro *coroutine;

    MUST(mco_create(&coroutine, &description) == MCO_SUCCESS);
    MUST(mco_resume(coroutine) == MCO_SUCCESS);
    return coroutine;
}

double minicoro_swap(size_t locals, size_t n)
{
    mco_coro *coroutine = start();
    double time = now();

    (void)locals;
    for (size_t i = 0; i < n; i += 2)
        mco_resume(coroutine);
    time = now() - time;
    mco_destroy(coroutine);
    return time;
}

double minicoro_create(size_t locals, size_t n)
{
    double time = now();

    (void)locals;
    for (size_t i = 0; i < n; i++)
        mco_destroy(start());
    return now() - time;
}
