/* A preemptive scheduler: a timer's signal interrupts whatever runs, and the handler resumes another task by
 * setcontext on the context that this one's handler was given. That restores every register, vector registers as
 * well, and each task checks what it computes in them. Runs for the seconds given, or one. (glibc's setcontext does
 * not restore such a context: there the program ends in a crash.)
 *
 *     linkings: shared static preload
 *     options: -O0 -O2
 *     arch: x86_64 aarch64 arm loongarch64 powerpc64 riscv64 s390x
 *
 * (On i686 it is not tested: qemu-i386 7.2 loses the x87 registers at a signal.)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

enum { TASKS = 8, STACK = 256 * 1024, QUANTUM = 1000 /* microseconds */ };

typedef double vector __attribute__((vector_size(32)));

struct task {
    const ucontext_t *resume; /* where it goes on: `fresh`, then what its last handler was given */
    ucontext_t fresh;
    vector expected; /* computed before anything interrupts */
    unsigned long rounds, wrong;
};

static struct task tasks[TASKS];
static ucontext_t scheduler;
static volatile sig_atomic_t current;
static volatile unsigned long preemptions;
static time_t end;

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void set_timer(int microseconds)
{
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};

    if (setitimer(ITIMER_REAL, &timer, NULL) == -1)
        fail("setitimer");
}

static void block_timer(int how)
{
    sigset_t timer;

    sigemptyset(&timer);
    sigaddset(&timer, SIGALRM);
    if (sigprocmask(how, &timer, NULL) == -1)
        fail("sigprocmask");
}

/* The task's frame, with all its registers, stays on the task's stack until it is resumed. */
static void preempt(int signal, siginfo_t *info, void *interrupted)
{
    (void)signal, (void)info;
    preemptions++;
    tasks[current].resume = interrupted;
    current = (current + 1) % TASKS;
    setcontext(tasks[current].resume);
    fail("setcontext");
}

/* As many live vectors as fit in registers, and some that do not. */
static void compute(int seed, vector *result)
{
    vector x[8], step = {1.25, -0.75, 0.5, -1.5};

    for (int i = 0; i < 8; i++)
        x[i] = (vector){1, 2, 3, 4} * (double)(seed + i);
    for (int round = 0; round < 4000; round++)
        for (int i = 0; i < 8; i++)
            x[i] = x[i] * 0.99 + step + x[(i + 1) % 8] * 0.001;
    *result = x[0];
    for (int i = 1; i < 8; i++)
        *result += x[i];
}

/* A task begins with the signal blocked: setcontext installs the mask of a fresh context before it leaves the
 * stack, and a handler's frame between the two would be lost. (The kernel resumes a handler's context in one step.) */
static void run(int number)
{
    struct task *task = &tasks[number];
    vector result;

    block_timer(SIG_UNBLOCK);
    while (time(NULL) < end) {
        compute(number, &result);
        task->wrong += memcmp(&result, &task->expected, sizeof result) != 0;
        task->rounds++;
    }
    set_timer(0);
}

static void prepare(int number)
{
    struct task *task = &tasks[number];

    compute(number, &task->expected);
    if (getcontext(&task->fresh) == -1)
        fail("getcontext");
    task->fresh.uc_stack.ss_size = STACK;
    task->fresh.uc_stack.ss_sp = malloc(STACK);
    if (!task->fresh.uc_stack.ss_sp)
        fail("malloc");
    task->fresh.uc_link = &scheduler;
    makecontext(&task->fresh, (void (*)(void))run, 1, number);
    task->resume = &task->fresh;
}

static int report(void)
{
    unsigned long rounds = 0, wrong = 0;

    for (int number = 0; number < TASKS; number++) {
        rounds += tasks[number].rounds;
        wrong += tasks[number].wrong;
        free(tasks[number].fresh.uc_stack.ss_sp);
    }
    printf("%lu results of %d tasks, %lu preemptions, %lu wrong\n", rounds, TASKS, preemptions, wrong);
    return wrong || !rounds || preemptions < TASKS ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = preempt, .sa_flags = SA_SIGINFO | SA_RESTART};

    block_timer(SIG_BLOCK);
    for (int number = 0; number < TASKS; number++)
        prepare(number);
    if (sigaction(SIGALRM, &action, NULL) == -1)
        fail("sigaction");
    end = time(NULL) + 1 + (argc > 1 ? atoi(argv[1]) : 1);
    set_timer(QUANTUM);
    /* Back when the first task sees that the time is over. */
    if (swapcontext(&scheduler, tasks[0].resume) == -1)
        fail("swapcontext");
    return report();
}
