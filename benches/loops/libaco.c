/* libaco: contexts with a stack of their own, and contexts that share one. */
#include "loops.h"

#include <aco.h>

struct run {
    aco_t *main, *tasks[2];
    aco_share_stack_t *stacks[2];
    size_t locals;
};

static void start(struct run *run, size_t tasks, size_t stacks, aco_cofuncp_t func)
{
    aco_thread_init(NULL);
    run->main = aco_create(NULL, NULL, 0, NULL, NULL);
    for (size_t i = 0; i < stacks; i++)
        run->stacks[i] = aco_share_stack_new(2 * run->locals + STACK_SIZE);
    for (size_t i = 0; i < tasks; i++)
        run->tasks[i] = aco_create(run->main, run->stacks[i % stacks], 0, func, run);
}

static void end(struct run *run, size_t tasks, size_t stacks)
{
    for (size_t i = 0; i < tasks; i++)
        aco_destroy(run->tasks[i]);
    for (size_t i = 0; i < stacks; i++)
        aco_share_stack_destroy(run->stacks[i]);
    aco_destroy(run->main);
    aco_gtls_co = NULL;
}

static void task(void)
{
    struct run *run = aco_get_arg();
    TAKE_LOCALS(run->locals);

    for (;;)
        aco_yield();
}

double libaco_swap(size_t locals, size_t n)
{
    struct run run = {.locals = locals};
    double time;

    start(&run, 1, 1, task);
    aco_resume(run.tasks[0]);
    time = now();
    for (size_t i = 0; i < n; i += 2)
        aco_resume(run.tasks[0]);
    time = now() - time;
    end(&run, 1, 1);
    return time;
}

/* A resume takes one slice out and puts the other back, as a swap between two slices does. */
double libaco_sliced(size_t locals, size_t n)
{
    struct run run = {.locals = locals};
    double time;

    start(&run, 2, 1, task);
    for (size_t i = 0; i < 4; i++)
        aco_resume(run.tasks[i & 1]);
    time = now();
    for (size_t i = 0; i < n; i++)
        aco_resume(run.tasks[i & 1]);
    time = now() - time;
    end(&run, 2, 1);
    return time;
}

double libaco_create(size_t locals, size_t n)
{
    struct run run = {.locals = locals};
    double time;

    start(&run, 0, 1, task);
    time = now();
    for (size_t i = 0; i < n; i++) {
        aco_t *co = aco_create(run.main, run.stacks[0], 0, task, &run);

        aco_resume(co);
        aco_destroy(co);
    }
    time = now() - time;
    end(&run, 0, 1);
    return time;
}
