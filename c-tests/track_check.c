/* RCTX_SIGMASK_CHECK=1 finds what track_unseen.c does, names the signals, and the swap where libc has backtrace, and
 * aborts.
 *
 *     linkings: track linked-track
 *     arch: x86_64
 *     environment: RCTX_SIGMASK_CHECK=1
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

/* Exported by -rdynamic, so that the backtrace names it. */
__attribute__((noinline)) void swap_after_the_change(void)
{
    CHECK(swapcontext(&home, &task) == 0);
}

int main(void)
{
    static char said[65536];
    size_t len = 0;
    ssize_t more;
    int ends[2], status;
    pid_t pid;

    prepare(&task, stack, sizeof stack, &home);
    makecontext(&task, work, 0);
    for (int i = 0; i < 3; i++)
        CHECK(swapcontext(&home, &task) == 0); /* nothing to find */
    CHECK(pipe(ends) == 0);
    pid = fork();
    CHECK(pid != -1);
    if (pid == 0) {
        CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
        change_unseen();
        swap_after_the_change();
        _Exit(0);
    }
    close(ends[1]);
    while ((more = read(ends[0], said + len, sizeof said - 1 - len)) > 0)
        len += (size_t)more;
    CHECK(waitpid(pid, &status, 0) == pid);
    fputs(said, stderr);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(strstr(said, "changed unseen before the swap below: blocked 10\n"));
#ifdef __GLIBC__
    CHECK(strstr(said, "swap_after_the_change"));
#endif
    END();
}
