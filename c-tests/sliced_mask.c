/* The unprefixed sliced functions keep the signal mask as swapcontext does; the twins leave it alone. Where the
 * kernel refuses to change the mask, nothing was switched and nothing is lost. */
#include "seccomp.h"

#include <rctx.h>

static ucontext_t base, main_context, task, fresh;
static int turn, went_on;

static void block_only(int signal)
{
    sigset_t set;

    CHECK(sigemptyset(&set) == 0);
    if (signal)
        CHECK(sigaddset(&set, signal) == 0);
    CHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
}

static void run(void *unused)
{
    (void)unused;
    /* Made when only SIGUSR1 was blocked; uc_sigmask was changed to SIGUSR2 afterwards. */
    CHECK(!is_blocked(SIGUSR1) && is_blocked(SIGUSR2));
    block_only(SIGHUP);
    turn = 1;
    CHECK(swapcontext_sliced(&task, &main_context, &base) == 0);
    CHECK(is_blocked(SIGHUP) && !is_blocked(SIGUSR1));

    /* A twin saves no mask and installs none. */
    turn = 2;
    CHECK(rctx_swapcontext_sliced(&task, &main_context, &base) == 0);
    CHECK(is_blocked(SIGUSR2) && !is_blocked(SIGHUP));
    turn = 3;
    CHECK(rctx_swapcontext_sliced(&task, &main_context, &base) == 0);
    CHECK(is_blocked(SIGUSR1) && !is_blocked(SIGUSR2));
    block_only(SIGTERM);
    turn = 4; /* and returns through uc_link, to a context with a mask */
}

static void run_fresh(void *unused)
{
    (void)unused;
    went_on = 1;
}

static void noted(void *count)
{
    *(int *)count = 1;
    CHECK(rctx_swapcontext_sliced(&task, &main_context, &base) == 0);
    *(int *)count = 2;
}

/* Frames between the caller and the base, so that its slice is a larger one. */
static __attribute__((noinline)) int swap_from_below(void)
{
    volatile char room[20000];

    room[0] = 1;
    CHECK_FAILS(swapcontext_sliced(&main_context, &task, &base), EPERM);
    return room[0];
}

static __attribute__((noinline)) void drive(void)
{
    static int count;
    static ucontext_t before;

    block_only(SIGUSR1);
    task.uc_link = &main_context;
    CHECK(rctx_makecontext_sliced(&task, &base, run, NULL) == 0);
    CHECK(sigismember(&task.uc_sigmask, SIGUSR1) == 1);
    CHECK(sigemptyset(&task.uc_sigmask) == 0 && sigaddset(&task.uc_sigmask, SIGUSR2) == 0);

    CHECK(swapcontext_sliced(&main_context, &task, &base) == 0);
    CHECK(turn == 1 && is_blocked(SIGUSR1) && !is_blocked(SIGHUP));
    CHECK(sigismember(&task.uc_sigmask, SIGHUP) == 1);

    block_only(SIGUSR2);
    CHECK(swapcontext_sliced(&main_context, &task, &base) == 0);
    CHECK(turn == 2 && is_blocked(SIGHUP)); /* the twin left what the task had */

    block_only(SIGUSR2);
    CHECK(rctx_swapcontext_sliced(&main_context, &task, &base) == 0);
    CHECK(turn == 3 && is_blocked(SIGUSR2));

    /* A context without a mask, resumed by an unprefixed function: left alone. */
    block_only(SIGUSR1);
    CHECK(swapcontext_sliced(&main_context, &task, &base) == 0);
    CHECK(turn == 4 && is_blocked(SIGUSR1) && !is_blocked(SIGTERM));

    /* Under the policy `none` the unprefixed function leaves it alone, too. */
    CHECK(rctx_sigmask(RCTX_SIGMASK_NONE) == RCTX_SIGMASK_POSIX);
    fresh.uc_link = &main_context;
    block_only(SIGUSR2);
    CHECK(rctx_makecontext_sliced(&fresh, &base, run_fresh, NULL) == 0);
    block_only(SIGHUP);
    CHECK(swapcontext_sliced(&main_context, &fresh, &base) == 0);
    CHECK(went_on && is_blocked(SIGHUP));
    CHECK(rctx_sigmask(RCTX_SIGMASK_POSIX) == RCTX_SIGMASK_NONE);

    /* main_context holds a slice; the refused call would need a larger one. */
    CHECK(rctx_makecontext_sliced(&task, &base, noted, &count) == 0);
    CHECK(rctx_swapcontext_sliced(&main_context, &task, &base) == 0);
    CHECK(count == 1);
    if (!emulated()) {
        refuse_system_call(SYS_rt_sigprocmask, EPERM);
        before = main_context;
        CHECK(swap_from_below() == 1);
        CHECK(memcmp(&before, &main_context, sizeof before) == 0);
        CHECK_FAILS(swapcontext_sliced(&fresh, &task, &base), EPERM);
        CHECK(count == 1);
    }
    CHECK(rctx_swapcontext_sliced(&main_context, &task, &base) == 0);
    CHECK(count == 2);

    rctx_freecontext(&main_context);
    rctx_freecontext(&task);
    rctx_freecontext(&fresh);
}

int main(void)
{
    CHECK(getcontext(&base) == 0);
    drive();
    END();
}
