/* A storm of timer signals whose handler itself swaps to another task, over every policy: with the signal blocked in
 * the handler, as is usual, and with it open, so that it arrives within the swaps, too. No task loses a word.
 *
 *     linkings: shared static linked-track
 *     compilers: gcc clang
 */
#include "check.h"

#include <rctx.h>
#include <signal.h>
#include <sys/time.h>

enum { TASKS = 8, STACK = 65536, SIGNALS = 1500, PERIOD = 100 /* microseconds */ };

static ucontext_t scheduler, tasks[TASKS];
static char stacks[TASKS][STACK];
static volatile sig_atomic_t current, swapping, signals, swaps;
static volatile int open; /* the signal is not blocked in the handler */
static int (*swap)(ucontext_t *, const ucontext_t *);

/* One more signal. */
static void arm(void)
{
    struct itimerval timer = {.it_value.tv_usec = PERIOD};

    CHECK(signals >= SIGNALS || setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

HANDLER static void handler(int signal)
{
    int from = current, next = (from + 1) % TASKS, saved_errno = errno;

    (void)signal;
#ifdef __loongarch__
    /* qemu 7.2 reads sa_mask where the kernel has no field and programs have anything. */
    if (open && emulated())
        set_blocked(SIGALRM, 0);
#endif
    signals++;
    if (swapping) /* within another handler's swap */
        return;
    swapping = 1;
    swaps++;
    arm();
    current = next;
    CHECK(swap(&tasks[from], &tasks[next]) == 0);
    swapping = 0;
    errno = saved_errno;
    arm();
}

static void work(int number)
{
    volatile uint64_t words[64];
    uint64_t value = (uint64_t)number << 32;

    swapping = 0;
    arm();
    while (signals < SIGNALS) {
        value++;
        for (int i = 0; i < 64; i++)
            words[i] = value + (uint64_t)i;
        for (int i = 0; i < 64; i++)
            CHECK(words[i] == value + (uint64_t)i);
    }
}

static void storm(int policy, int flags, int (*function)(ucontext_t *, const ucontext_t *))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | flags};

    CHECK(rctx_sigmask(policy) != -1);
    swap = function;
    open = flags & SA_NODEFER;
    current = swapping = signals = swaps = 0;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    for (int i = 0; i < TASKS; i++) {
        prepare(&tasks[i], stacks[i], sizeof stacks[i], &scheduler);
        makecontext(&tasks[i], (void (*)(void))work, 1, i);
    }
    swapping = 1;
    /* Back when the first task sees that it is over; the others are left in their handlers. */
    CHECK(swap(&scheduler, &tasks[0]) == 0);
    CHECK(signals >= SIGNALS && swaps > TASKS);
    set_blocked(SIGALRM, 0);
}

int main(void)
{
    storm(RCTX_SIGMASK_POSIX, 0, swapcontext);
    storm(RCTX_SIGMASK_POSIX, SA_NODEFER, swapcontext);
    storm(RCTX_SIGMASK_TRACK, 0, swapcontext);
    storm(RCTX_SIGMASK_TRACK, SA_NODEFER, swapcontext);
    storm(RCTX_SIGMASK_NONE, SA_NODEFER, swapcontext);
    storm(RCTX_SIGMASK_POSIX, SA_NODEFER, rctx_swapcontext);
    END();
}
