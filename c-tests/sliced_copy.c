/* rctx_copycontext: copies of plain, made, sliced, poisoned and signal handlers' contexts need nothing of their
 * source any more.
 *
 *     flags: -lm
 */
#define _GNU_SOURCE
#include "check.h"
#include "machine.h"

#include <fenv.h>
#include <rctx.h>
#include <signal.h>
#include <sys/time.h>

enum { STACK = 32 * 1024 };

static ucontext_t base, main_context, source, copy, second;
static int runs, returns;
static volatile sig_atomic_t handled;

/* The pointer that an assignment would leave pointing at the source. */
static void check_own_pointers(const ucontext_t *context)
{
#if defined __x86_64__
    CHECK((const void *)context->uc_mcontext.fpregs == (const void *)&context->__fpregs_mem);
#else
    (void)context;
#endif
}

static void run(void *argument)
{
    volatile char room[1000];

    keep(room);
    CHECK(argument == &runs);
    CHECK(fegetround() == FE_UPWARD);
    room[0] = 1;
    for (;;) {
        runs++;
        CHECK(swapcontext_sliced(&source, &main_context, &base) == 0);
        CHECK(room[0] == 1);
    }
}

static void run_plain(void *argument)
{
    CHECK(argument == &runs);
    CHECK(fegetround() == FE_UPWARD);
    runs++;
}

static __attribute__((noinline)) void plain(void)
{
    static char stack[STACK];

    CHECK(getcontext(&source) == 0);
    source.uc_stack.ss_sp = stack;
    source.uc_stack.ss_size = sizeof stack;
    source.uc_link = &main_context;
    fesetround(FE_UPWARD);
    CHECK(getcontext(&source) == 0);
    fesetround(FE_TONEAREST);
    rctx_makecontext(&source, run_plain, &runs);
    CHECK(rctx_copycontext(&copy, &source) == 0);
    check_own_pointers(&copy);
    CHECK(copy.uc_stack.ss_sp == stack && copy.uc_link == &main_context);
    memset(&source, 0xff, sizeof source);
    runs = 0;
    CHECK(swapcontext(&main_context, &copy) == 0);
    CHECK(runs == 1);
    memset(&source, 0, sizeof source);
    memset(&copy, 0, sizeof copy);
}

/* Over a context that had a slice of its own, which is released. */
static __attribute__((noinline)) void sliced(void)
{
    static char memory[16 * 1024];
    size_t size;

    runs = 0;
    fesetround(FE_UPWARD);
    CHECK(rctx_makecontext_sliced(&source, &base, run, &runs) == 0);
    fesetround(FE_TONEAREST);
    CHECK(rctx_copycontext(&copy, &source) == 0); /* before its first run */
    check_own_pointers(&copy);
    CHECK(swapcontext_sliced(&main_context, &source, &base) == 0);
    CHECK(swapcontext_sliced(&main_context, &copy, &base) == 0);
    CHECK(runs == 2);
    size = rctx_slice_size(&source);
    CHECK(size > 1000);

    CHECK(rctx_copycontext(&copy, &source) == 0); /* larger than before */
    second.uc_stack.ss_sp = memory + 3;
    second.uc_stack.ss_size = sizeof memory - 3;
    CHECK(rctx_copycontext(&second, &copy) == 0);
    check_own_pointers(&second);
    CHECK(second.uc_stack.ss_sp == memory + 3 && rctx_slice_size(&second) == size);
    rctx_freecontext(&source);
    CHECK(swapcontext_sliced(&main_context, &copy, &base) == 0);
    rctx_freecontext(&source);
    rctx_freecontext(&copy);
    CHECK(swapcontext_sliced(&main_context, &second, &base) == 0);
    CHECK(runs == 4 && rctx_slice_size(&second) == size);

    /* A plain one over a sliced one. */
    CHECK(rctx_copycontext(&source, &base) == 0);
    CHECK(rctx_slice_size(&source) == 0);
    check_own_pointers(&source);
    rctx_freecontext(&source);
    memset(&source, 0, sizeof source);
    memset(&second, 0, sizeof second);
}

static void unusable(void)
{
    CHECK(getcontext(&source) == 0);
    source.uc_stack.ss_sp = NULL;
    rctx_makecontext(&source, run, NULL);
    CHECK(rctx_copycontext(&copy, &source) == 0);
    CHECK_FAILS(setcontext(&copy), EINVAL);
    memset(&source, 0, sizeof source);
    CHECK(rctx_copycontext(&copy, &source) == 0);
    CHECK_FAILS(setcontext(&copy), EINVAL);
    memset(&copy, 0, sizeof copy);
}

HANDLER static void handler(int signal, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = context, assigned = *interrupted;

    (void)signal;
    (void)info;
    handled = 1;
    if (!COPY_IS_AS_GOOD)
        CHECK_FAILS(rctx_copycontext(&second, &assigned), EINVAL);
#if defined __powerpc64__
    interrupted->uc_mcontext.gp_regs[39] = 1; /* which is not read, and the emulator leaves uninitialised */
#endif
    CHECK(rctx_copycontext(&copy, interrupted) == 0);
#if defined __x86_64__
    CHECK((char *)copy.uc_mcontext.fpregs >= (char *)copy.uc_stack.ss_sp &&
          (char *)copy.uc_mcontext.fpregs < (char *)copy.uc_stack.ss_sp + copy.uc_stack.ss_size);
#endif
}

/* The same interrupted code goes on many times after the handler has returned. */
static __attribute__((noinline)) void interrupted(void)
{
    static const struct itimerval soon = {.it_value = {.tv_usec = 10000}};
    sigset_t set;

    fesetround(FE_DOWNWARD);
    /* Ten milliseconds of the process: in this frame, not in a function that has returned when the copy is
     * resumed. */
    CHECK(setitimer(ITIMER_VIRTUAL, &soon, NULL) == 0);
    while (!handled)
        ;
    CHECK((fegetround() == FE_DOWNWARD || loses_x87()) && !is_blocked(SIGHUP));
    fesetround(FE_TONEAREST);
    switch (++returns) {
    case 1 ... 4:
        CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGHUP) == 0);
        CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
        if (returns % 2)
            CHECK(setcontext(&copy) == 0);
        CHECK(rctx_swapcontext_sliced(&main_context, &copy, &base) == 0);
        break;
    case 5: /* a copy of the copy, without the first */
        CHECK(rctx_copycontext(&second, &copy) == 0);
#if defined __x86_64__
        CHECK(second.uc_mcontext.fpregs != copy.uc_mcontext.fpregs);
#endif
        rctx_freecontext(&copy);
        CHECK_FAILS(setcontext(&copy), EINVAL);
        CHECK(setcontext(&second) == 0);
        break;
    }
    CHECK(returns == 6);
    rctx_freecontext(&second);
    CHECK_FAILS(setcontext(&second), EINVAL);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

    CHECK(sigaction(SIGVTALRM, &action, NULL) == 0);
    CHECK(getcontext(&base) == 0);
    plain();
    sliced();
    unusable();
    interrupted();
    rctx_freecontext(&main_context);
    END();
}
