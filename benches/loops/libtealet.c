/* libtealet: contexts that share the stack. */
#include "loops.h"

#include <tealet.h>

struct run {
    tealet_t *main, *tasks[2];
    size_t locals, left;
};

static tealet_t *task(tealet_t *self, void *arg)
{
    struct run *run = arg;
    tealet_t **other = &run->tasks[self == run->tasks[0]];
    TAKE_LOCALS(run->locals);

    for (;;)
        MUST(tealet_switch(run->left-- ? *other : run->main, NULL, TEALET_XFER_DEFAULT) == 0);
}

static NOINLINE void begin(struct run *run, int index)
{
    void *arg = run;

    run->left = 0;
    run->tasks[index] = tealet_new(run->main);
    MUST(run->tasks[index] &&
         tealet_run(run->tasks[index], task, &arg, NULL, TEALET_START_SWITCH) == 0);
}

static NOINLINE double go(struct run *run, size_t n)
{
    double time = now();

    run->left = n & ~(size_t)1;
    MUST(tealet_switch(run->tasks[0], NULL, TEALET_XFER_DEFAULT) == 0);
    return now() - time;
}

static struct run *run_new(size_t locals)
{
    tealet_alloc_t alloc = TEALET_ALLOC_INIT_MALLOC;
    struct run *run = calloc(1, sizeof *run);

    MUST(run && (run->main = tealet_initialize(&alloc, 0)));
    run->locals = locals;
    return run;
}

static void run_free(struct run *run)
{
    tealet_finalize(run->main);
    free(run);
}

double libtealet_sliced(size_t locals, size_t n)
{
    struct run *run = run_new(locals);
    double time;

    begin(run, 0);
    begin(run, 1);
    go(run, 4);
    time = go(run, n);
    tealet_delete(run->tasks[0]);
    tealet_delete(run->tasks[1]);
    run_free(run);
    return time;
}

double libtealet_create(size_t locals, size_t n)
{
    struct run *run = run_new(locals);
    double time = now();

    for (size_t i = 0; i < n; i++) {
        begin(run, 0);
        tealet_delete(run->tasks[0]);
    }
    time = now() - time;
    run_free(run);
    return time;
}
