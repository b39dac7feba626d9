/* The third argument of a signal handler, given to setcontext and swapcontext: the interrupted code goes on with the
 * signal mask and the alternate stack that it had (interrupted.h has the registers). From the handler's own stack,
 * from another after a swap, and on an alternate stack; by our twins as well; an assigned copy is EINVAL; a deep
 * copy outlives the handler.
 *
 *     linkings: shared static
 */
#define _GNU_SOURCE
#include "check.h"
#include "machine.h"

#include <rctx.h>
#include <signal.h>
#include <sys/time.h>

enum { BY_SETCONTEXT, BY_TWIN, BY_SWAP, ELSEWHERE, COPIED, WAYS, LATER };

static volatile int way, handled, waiting;
static ucontext_t elsewhere, in_handler, deep;
static const ucontext_t *kernels;
static char stack[65536], alternate[65536];
static int under_valgrind;

/* Runs on a stack of its own; the handler has swapped away and has not returned. */
static void resume_kernels(void)
{
    setcontext(kernels);
    CHECK(!"setcontext returned");
}

HANDLER static void on_signal(int signal, siginfo_t *info, void *context)
{
    ucontext_t assigned = *(ucontext_t *)context;

    (void)info;
    CHECK(signal == SIGUSR1 || signal == SIGALRM);
    handled++;
    if (!under_valgrind && !COPY_IS_AS_GOOD) {
        CHECK_FAILS(setcontext(&assigned), EINVAL);
        CHECK_FAILS(rctx_swapcontext(&in_handler, &assigned), EINVAL);
    }
    switch (way) {
    case BY_SETCONTEXT:
        setcontext(context);
        break;
    case BY_TWIN:
        rctx_setcontext(context);
        break;
    case BY_SWAP:
        swapcontext(&in_handler, context);
        break;
    case ELSEWHERE:
        kernels = context;
        CHECK(getcontext(&elsewhere) == 0);
        elsewhere.uc_stack.ss_sp = stack;
        elsewhere.uc_stack.ss_size = sizeof stack;
        elsewhere.uc_link = NULL;
        makecontext(&elsewhere, resume_kernels, 0);
        swapcontext(&in_handler, &elsewhere);
        break;
    case COPIED:
        CHECK(rctx_copycontext(&deep, context) == 0);
        setcontext(&deep);
        break;
    case LATER:
        if (waiting)
            CHECK(rctx_copycontext(&deep, context) == 0);
        waiting = 0;
        return;
    }
    CHECK(!"the interrupted code was not resumed");
}

static void interrupt_and_compare(void)
{
    double floating = 1.0 / 3;

    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(floating == 1.0 / 3);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    stack_t stack_of_signals = {.ss_sp = alternate, .ss_size = sizeof alternate}, found;
    sigset_t mask, now;

    under_valgrind = getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "vgpreload");
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    CHECK(sigprocmask(SIG_SETMASK, &mask, NULL) == 0);
    CHECK(sigaltstack(&stack_of_signals, NULL) == 0);
    for (int on_alternate = 0; on_alternate < 2; on_alternate++) {
        action.sa_flags = SA_SIGINFO | (on_alternate ? SA_ONSTACK : 0);
        CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
        for (way = 0; way < WAYS; way++) {
            if (under_valgrind && way >= COPIED)
                continue; /* a frame that valgrind made has no size */
            for (int i = 0; i < 5; i++) {
                int calls = handled;

                interrupt_and_compare();
                CHECK(handled == calls + 1);
                CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
                CHECK(sigismember(&now, SIGHUP) && !sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2));
                CHECK(sigaltstack(NULL, &found) == 0);
                CHECK(found.ss_sp == alternate && found.ss_flags == 0);
            }
        }
    }
    if (!under_valgrind) {
        /* A copy made in a handler that has returned since: the loop goes on where it was. The timer goes on: its first
         * signal may have come before setitimer returned, to a frame that is gone then. */
        static volatile int passed;
        struct itimerval soon = {.it_value = {.tv_usec = 1000}, .it_interval = {.tv_usec = 1000}};

        way = LATER;
        CHECK(sigaction(SIGALRM, &action, NULL) == 0);
        CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
        waiting = 1;
        while (waiting)
            ;
        if (++passed < 3) {
            memset(stack, 0x55, sizeof stack);
            setcontext(&deep);
            CHECK(!"setcontext returned");
        }
        CHECK(passed == 3);
        rctx_freecontext(&deep);
        CHECK_FAILS(setcontext(&deep), EINVAL);
    }
    END();
    return 0;
}
