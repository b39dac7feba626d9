/* A hundred thousand tasks at once, each suspended in the middle of a function, on one C stack: the compact handle
 * keeps exactly the bytes that a task uses. */
#include <rctx.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASKS = 100000, STEPS = 3 };

static ucontext_t base;
static rctx_slice_t *hub, *tasks[TASKS];
static long long total;
static int left;

static void must(int status, const char *what)
{
    if (status == -1) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void pause_task(long number)
{
    must(rctx_slice_swap(&tasks[number], hub, &base), "pause");
}

/* Waits a few times with something on its stack, as a request would for its answers. It does not return: it is
 * dropped by a swap from NULL. */
static void request(void *argument)
{
    long number = (long)argument;
    long long answers = 0;

    for (int step = 1; step <= STEPS; step++) {
        pause_task(number);
        answers += number * step;
    }
    total += answers;
    left--;
    rctx_slice_free(tasks[number]);
    tasks[number] = NULL;
    must(rctx_slice_swap(NULL, hub, &base), "leave");
}

static void progress(const char *what, int round, long done)
{
    if (done % (TASKS / 20) == 0)
        printf("\r%s %d: %3ld%%", what, round, done * 100 / TASKS);
    if (done == TASKS)
        putchar('\n');
    fflush(stdout);
}

static void fan_out(void)
{
    int round = 0;

    for (long number = 0; number < TASKS; number++) {
        must(rctx_slice_start(&hub, &base, request, (void *)number), "start");
        left++;
        progress("start", 0, number + 1);
    }
    while (left > 0) {
        round++;
        for (long number = 0; number < TASKS; number++) {
            must(rctx_slice_swap(&hub, tasks[number], &base), "resume");
            progress("round", round, number + 1);
        }
    }
    rctx_slice_free(hub);
}

int main(void)
{
    const long long numbers = (long long)TASKS * (TASKS - 1) / 2, steps = STEPS * (STEPS + 1) / 2;

    must(getcontext(&base), "getcontext");
    fan_out();
    printf("total %lld\n", total);
    return total == numbers * steps ? EXIT_SUCCESS : EXIT_FAILURE;
}
