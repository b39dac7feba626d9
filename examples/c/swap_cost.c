/* What a swapcontext costs: prints nanoseconds, the median of many batches.
 *
 *     linkings: shared static preload oracle
 *     options: -O2
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>

enum { BATCHES = 101, SWAPS = 20000 };

static ucontext_t here, there;

static void go_back(void)
{
    for (;;)
        swapcontext(&there, &here);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static int compare(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;

    return (l > r) - (l < r);
}

int main(void)
{
    static char stack[64 * 1024];
    static double cost[BATCHES];
    cpu_set_t cpu;

    /* Where it runs now is where it stays. */
    CPU_ZERO(&cpu);
    CPU_SET(sched_getcpu(), &cpu);
    sched_setaffinity(0, sizeof cpu, &cpu);

    if (getcontext(&there) == -1) {
        perror("getcontext");
        return EXIT_FAILURE;
    }
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof stack;
    there.uc_link = NULL;
    makecontext(&there, go_back, 0);

    for (int batch = 0; batch < BATCHES; batch++) {
        double start = now();

        for (int i = 0; i < SWAPS / 2; i++)
            swapcontext(&here, &there); /* there and back: two swaps */
        cost[batch] = (now() - start) / SWAPS;
    }
    qsort(cost, BATCHES, sizeof *cost, compare);
    printf("%.1f\n", cost[BATCHES / 2]);
    return EXIT_SUCCESS;
}
