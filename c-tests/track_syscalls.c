/* Under policy `track`, a swap between contexts of one mask makes no system call: a filter would end the process at
 * rt_sigprocmask. Nor do getcontext, setcontext, uc_link, and what follows a mask call that was seen.
 *
 *     linkings: track linked-track
 *     compilers: gcc clang
 */
#include "seccomp.h"

#include <signal.h>

static ucontext_t home, task;
static char stack[65536];
static int turns;

static void work(void)
{
    turns++;
    CHECK(swapcontext(&task, &home) == 0);
    turns++;
}

int main(void)
{
    volatile int returns = 0;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    prepare(&task, stack, sizeof stack, &home);
    makecontext(&task, work, 0);
    CHECK(swapcontext(&home, &task) == 0); /* the mask is learnt here */
    CHECK(turns == 1);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    sigemptyset(&set);
    sigaddset(&set, SIGKILL); /* which cannot be */
    sigaddset(&set, SIGSTOP);
    CHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
    if (!emulated())
        forbid_system_call(SYS_rt_sigprocmask);

    CHECK(swapcontext(&home, &task) == 0); /* and back by uc_link */
    CHECK(turns == 2);
    prepare(&task, stack, sizeof stack, &home);
    makecontext(&task, work, 0);
    for (int i = 0; i < 2; i++)
        CHECK(swapcontext(&home, &task) == 0);
    CHECK(turns == 4);
    CHECK(getcontext(&home) == 0);
    if (returns++ == 0)
        setcontext(&home);
    CHECK(returns == 2);
    CHECK(!sigismember(&home.uc_sigmask, SIGUSR1));
    END();
    _Exit(0);
}
