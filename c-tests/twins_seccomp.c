/* The twins make no system call at all: they switch under a filter that kills the process for any but those
 * that end it.
 *
 *     linkings: shared static
 *     compilers: gcc clang
 */
#include "seccomp.h"

#include <rctx.h>
#include <sys/wait.h>

static ucontext_t home, context;
static char stack[65536];
static int turns;

static void inside(void *unused)
{
    (void)unused;
    turns++;
    CHECK(rctx_swapcontext(&context, &home) == 0);
    turns++;
}

static void make(void)
{
    CHECK(rctx_getcontext(&context) == 0);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = sizeof stack;
    context.uc_link = &home;
}

int main(void)
{
    if (!emulated()) {
        pid_t child = fork();
        int status;

        if (child == 0) { /* the filter is one */
            allow_only_the_end();
            swapcontext(&home, &home + turns);
            _Exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
        allow_only_the_end();
    }
    for (int round = 1; round <= 100; round++) {
        make();
        if (round % 2)
            rctx_makecontext(&context, inside, NULL);
        else
            makecontext(&context, (void (*)(void))inside, 1, NULL);
        CHECK(rctx_swapcontext(&home, &context) == 0);
        CHECK(rctx_swapcontext(&home, &context) == 0);
        CHECK(turns == 2 * round);
    }
    static volatile int resumed;
    CHECK(rctx_getcontext(&home) == 0);
    if (!resumed) {
        resumed = 1;
        rctx_setcontext(&home);
        CHECK(!"rctx_setcontext returned");
    }
    END();
    _Exit(0); /* what libc does at exit needs other calls */
}
