/* A scheduler whose tasks share one C stack. Done by hand, this asks getstacktop() where the stack ends, copies
 * what lies between there and the scheduler to the heap, copies another task's bytes back, and must not call a
 * function on the way. swapcontext_sliced does all of that: a task needs no stack, and no size to guess. */
#include <rctx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS = 3, STEPS = 4 };

struct task {
    ucontext_t context; /* zeroed: the library finds memory for the slice */
    const char *name;
    int done, sum;
};

static ucontext_t base, scheduler;
static struct task tasks[TASKS] = {{.name = "ann"}, {.name = "bob"}, {.name = "cat"}};
static struct task *current;

static void must(int status, const char *what)
{
    if (status == -1) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void yield(void)
{
    must(swapcontext_sliced(&current->context, &scheduler, &base), "yield");
}

/* Each step is one call deeper, and keeps its own words on the stack while the others run. Nobody else may hold
 * a pointer to them meanwhile: another task's bytes lie at their addresses. */
static int step(struct task *task, int depth)
{
    char note[64];
    int sum = depth;

    snprintf(note, sizeof note, "%s is at step %d", task->name, depth);
    puts(note);
    yield();
    if (depth < STEPS)
        sum += step(task, depth + 1);
    if (!strstr(note, task->name))
        abort();
    return sum;
}

static void work(void *argument)
{
    struct task *task = argument;

    task->sum = step(task, 1);
    printf("%s is done: %d\n", task->name, task->sum);
    task->done = 1;
}

/* Round robin until all are done. A frame of its own: what is nearer than the base is each context's alone. */
static void run_all(void)
{
    int left = TASKS;

    for (int index = 0; index < TASKS; index++) {
        tasks[index].context.uc_link = &scheduler; /* resumed when work returns */
        must(rctx_makecontext_sliced(&tasks[index].context, &base, work, &tasks[index]), "make");
    }
    for (int index = 0; left > 0; index = (index + 1) % TASKS) {
        if (tasks[index].done)
            continue;
        current = &tasks[index];
        must(swapcontext_sliced(&scheduler, &current->context, &base), "schedule");
        left -= current->done;
    }
    for (int index = 0; index < TASKS; index++)
        rctx_freecontext(&tasks[index].context);
    rctx_freecontext(&scheduler);
}

int main(void)
{
    must(getcontext(&base), "getcontext"); /* older frames than this one are shared */
    run_all();
    for (int index = 0; index < TASKS; index++)
        if (tasks[index].sum != STEPS * (STEPS + 1) / 2)
            return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
