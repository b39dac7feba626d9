/* A storm of signals from six timers over swaps between contexts of equal and other masks: handlers are nested, edit the
 * interrupted mask, swap, leave by siglongjmp, and the check mode finds no shadow that is known and wrong.
 *
 *     linkings: linked-track
 *     flags: -pthread
 *     environment: RCTX_SIGMASK_CHECK=1
 *     native: yes
 */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <rctx.h>
#include <setjmp.h>
#include <signal.h>

enum { TIMERS = 6, TASKS = 4, STACK = 1 << 20, PERIOD = 60000 /* nanoseconds */ };
enum { HANDLERS = 20000, THREADS = 2 };

struct worker {
    ucontext_t home, tasks[TASKS];
    char (*stacks)[STACK];
    sigjmp_buf *volatile jump;
    volatile int current, depth, swapping;
    volatile uint64_t random;
    volatile long handled;
};

static _Thread_local struct worker *volatile this_worker;

static unsigned draw(struct worker *worker, unsigned below)
{
    worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(worker->random >> 33) % below;
}

static void change(struct worker *worker)
{
    sigset_t set;

    sigemptyset(&set);
    for (int i = 0; i < TIMERS; i++)
        if (draw(worker, 4) == 0)
            sigaddset(&set, SIGRTMIN + i);
    CHECK(pthread_sigmask((int)draw(worker, 2) ? SIG_SETMASK : SIG_UNBLOCK, &set, NULL) == 0);
}

static void swap(struct worker *worker, int to)
{
    int from = worker->current;

    if (to == from)
        return;
    worker->swapping = 1;
    worker->current = to;
    CHECK(swapcontext(&worker->tasks[from], &worker->tasks[to]) == 0);
    worker->swapping = 0;
}

HANDLER static void handler(int signal, siginfo_t *info, void *context)
{
    struct worker *worker = this_worker;
    ucontext_t *interrupted = context;
    int saved = errno;

    (void)info;
    worker->handled++;
    if (draw(worker, 4) == 0)
        sigaddset(&interrupted->uc_sigmask, SIGUSR1);
    if (draw(worker, 4) == 0)
        sigdelset(&interrupted->uc_sigmask, SIGUSR1);
    if (worker->depth < 4 && !worker->swapping) {
        worker->depth++;
        change(worker);
        if (draw(worker, 4) == 0 && !worker->jump)
            swap(worker, (int)draw(worker, TASKS));
        worker->depth--;
    }
    if (worker->jump && draw(worker, 2))
        siglongjmp(*worker->jump, signal);
    errno = saved;
}

static void work(struct worker *worker)
{
    worker->swapping = 0;
    while (worker->handled < HANDLERS) {
        change(worker);
        for (int i = 0; i < 4; i++)
            swap(worker, (int)draw(worker, TASKS));
        if (draw(worker, 8) == 0) {
            sigset_t none;
            sigjmp_buf jump;
            int depth = worker->depth;

            if (!sigsetjmp(jump, 1)) {
                worker->jump = &jump;
                sigemptyset(&none);
                pthread_sigmask(SIG_SETMASK, &none, NULL);
                for (volatile int spin = 0; spin < 1000; spin++)
                    continue;
            }
            worker->jump = NULL;
            worker->depth = depth;
        }
    }
    setcontext(&worker->home);
}

static void *run(void *seed)
{
    struct worker *worker = calloc(1, sizeof *worker);
    timer_t timers[TIMERS];

    CHECK(worker && (worker->stacks = calloc(TASKS, STACK)));
    worker->random = (uint64_t)(uintptr_t)seed;
    this_worker = worker;
    for (int i = 0; i < TASKS; i++) {
        prepare(&worker->tasks[i], worker->stacks[i], STACK, NULL);
        makecontext(&worker->tasks[i], (void (*)(void))work, 1, worker);
    }
    for (int i = 0; i < TIMERS; i++) {
        struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + i};
        struct itimerspec period = {{0, PERIOD}, {0, PERIOD + 7 * i}};

        event._sigev_un._tid = (pid_t)gettid();
        CHECK(timer_create(CLOCK_MONOTONIC, &event, &timers[i]) == 0);
        CHECK(timer_settime(timers[i], 0, &period, NULL) == 0);
    }
    worker->swapping = 1;
    CHECK(swapcontext(&worker->home, &worker->tasks[0]) == 0);
    for (int i = 0; i < TIMERS; i++)
        timer_delete(timers[i]);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];

    CHECK(rctx_sigmask(RCTX_SIGMASK_TRACK) == RCTX_SIGMASK_TRACK);
    for (int i = 0; i < TIMERS; i++) {
        struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};

        action.sa_flags |= i % 2 ? (int)SA_NODEFER : 0;
        CHECK(sigaction(SIGRTMIN + i, &action, NULL) == 0);
    }
    seed_random();
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)next_random()) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    END();
    _Exit(0);
}
