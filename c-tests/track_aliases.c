/* What changes masks and handlers by a second name: glibc's `__clone`, and `sigvec`, which it keeps under its first
 * version for old programs alone. A swap after it, or in a handler, between contexts of other masks is POSIX's.
 *
 *     linkings: preload oracle track linked-track
 *     libc: gnu
 *     arch: x86_64 x86 aarch64 arm s390x powerpc64
 */
#define _GNU_SOURCE
#include "check.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#if defined __x86_64__
#define FIRST "GLIBC_2.2.5"
#elif defined __i386__
#define FIRST "GLIBC_2.0"
#elif defined __s390x__
#define FIRST "GLIBC_2.2"
#elif defined __arm__
#define FIRST "GLIBC_2.4"
#else
#define FIRST "GLIBC_2.17"
#endif

struct vector {
    void (*handler)(int);
    int mask, flags;
};

enum { RESET = 4 }; /* SV_RESETHAND */

int old_sigvec(int, const struct vector *, struct vector *);
__asm__(".symver old_sigvec, sigvec@" FIRST);
int __clone(int (*)(void *), void *, int, void *, ...);

typedef int cloner(int (*)(void *), void *, int, void *, ...);

static ucontext_t home, task;
static char stack[65536], child_stack[65536];
static sigset_t seen;
static int handled;

static void work(void)
{
    for (;;) {
        CHECK(sigprocmask(SIG_SETMASK, NULL, &seen) == 0);
        CHECK(swapcontext(&task, &home) == 0);
    }
}

/* Resumes the task with a mask of SIGUSR1 or none, which it then has; the caller keeps its own. */
static void swap(int blocked)
{
    sigset_t before, after;

    CHECK(sigprocmask(SIG_SETMASK, NULL, &before) == 0);
    sigemptyset(&task.uc_sigmask);
    if (blocked)
        sigaddset(&task.uc_sigmask, SIGUSR1);
    CHECK(swapcontext(&home, &task) == 0);
    CHECK(sigismember(&seen, SIGUSR1) == blocked && !sigismember(&seen, SIGUSR2));
    CHECK(sigprocmask(SIG_SETMASK, NULL, &after) == 0);
    for (int signal = 1; signal < 32; signal++)
        CHECK(sigismember(&before, signal) == sigismember(&after, signal));
}

HANDLER static void handle(int signal)
{
    sigset_t set;

    CHECK(signal == SIGUSR1);
    CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0);
    CHECK(sigismember(&set, SIGUSR1) && sigismember(&set, SIGUSR2));
    swap(0);
    handled++;
}

static int block_in_child(void *unused)
{
    sigset_t set;

    (void)unused;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    return 7;
}

/* The child has the parent's memory, and a mask of its own. */
static void block_beside(cloner *clone_it)
{
    int status;
    pid_t pid = clone_it(block_in_child, child_stack + sizeof child_stack,
                         CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);

    CHECK(pid > 0);
    swap(1);
    swap(0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

int main(void)
{
    struct vector vector = {handle, 1 << (SIGUSR2 - 1), 0}, old;
    struct sigaction action;
    sigset_t set;

    sigemptyset(&set);
    CHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
    prepare(&task, stack, sizeof stack, &home);
    makecontext(&task, work, 0);
    swap(0);

    CHECK(old_sigvec(SIGUSR1, &vector, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0);
    swap(0);
    CHECK(handled == 1);
    CHECK(old_sigvec(SIGUSR1, NULL, &old) == 0);
    CHECK(old.handler == handle && old.mask == vector.mask && old.flags == 0);
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0);
    CHECK(action.sa_handler == handle && sigismember(&action.sa_mask, SIGUSR2));

    vector.flags = RESET;
    CHECK(old_sigvec(SIGUSR1, &vector, &old) == 0);
    CHECK(old.handler == handle && old.flags == 0);
    CHECK(old_sigvec(SIGUSR1, NULL, &old) == 0);
    CHECK(old.handler == handle && old.flags == RESET);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(handled == 2);
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0);
    CHECK(action.sa_handler == SIG_DFL);
    CHECK_FAILS(old_sigvec(SIGKILL, &vector, NULL), EINVAL);

    block_beside(clone);
    block_beside(__clone);
    END();
}
