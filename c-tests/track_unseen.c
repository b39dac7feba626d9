/* The limit of policy `track`: a mask that is changed by a system call instruction is not seen, and the swap leaves it.
 *
 *     linkings: track linked-track
 *     arch: x86_64
 */
#include "check.h"

#include <signal.h>
#include <sys/syscall.h>

static ucontext_t home, task;
static char stack[65536];

/* What another runtime does. */
static long raw_sigprocmask(int how, const uint64_t *set, uint64_t *old)
{
    register long size __asm__("r10") = 8;
    long result = SYS_rt_sigprocmask;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"((long)how), "S"(set), "d"(old), "r"(size)
                     : "rcx", "r11", "memory");
    return result;
}

static void work(void)
{
    for (;;)
        CHECK(swapcontext(&task, &home) == 0);
}

int main(void)
{
    uint64_t blocked = 1u << (SIGUSR1 - 1), now = 0;

    prepare(&task, stack, sizeof stack, &home);
    makecontext(&task, work, 0);
    CHECK(swapcontext(&home, &task) == 0);
    CHECK(raw_sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
    /* The task's mask has no SIGUSR1. POSIX: it is not blocked there, and blocked here afterwards. */
    CHECK(swapcontext(&home, &task) == 0);
    CHECK(!sigismember(&home.uc_sigmask, SIGUSR1)); /* what was not seen is not saved */
    CHECK(raw_sigprocmask(SIG_BLOCK, NULL, &now) == 0);
    CHECK(now & blocked); /* nor was it changed */

    /* A call that is seen makes it right again. */
    sigset_t set;
    sigemptyset(&set);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(swapcontext(&home, &task) == 0);
    CHECK(sigismember(&home.uc_sigmask, SIGUSR1));
    END();
}
