/* RCTX_SIGMASK_CHECK=1 finds what track_unseen.c does, names the signals and the swap, and aborts.
 *
 *     linkings: track
 *     native: yes
 *     arch: x86_64
 *     environment: RCTX_SIGMASK_CHECK=1
 *     status: 0
 *     stderr: (?s).*changed unseen before the swap below: blocked 10\n.*track_check.*
 *     flags: -rdynamic
 */
#include "check.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static ucontext_t home, task;
static char stack[65536];

static void work(void)
{
    for (;;)
        CHECK(swapcontext(&task, &home) == 0);
}

static void change_unseen(void)
{
    uint64_t blocked = 1u << (SIGUSR1 - 1);
    register long size __asm__("r10") = 8;
    long result = SYS_rt_sigprocmask;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"((long)SIG_BLOCK), "S"(&blocked), "d"(NULL), "r"(size)
                     : "rcx", "r11", "memory");
    CHECK(result == 0);
}

int main(void)
{
    int status;
    pid_t pid;

    prepare(&task, stack, sizeof stack, &home);
    makecontext(&task, work, 0);
    for (int i = 0; i < 3; i++)
        CHECK(swapcontext(&home, &task) == 0); /* nothing to find */
    pid = fork();
    CHECK(pid != -1);
    if (pid == 0) {
        change_unseen();
        swapcontext(&home, &task);
        _Exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    END();
}
