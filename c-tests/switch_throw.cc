// A C++ exception passes rctx_call, and is caught inside a context; one that nobody catches ends in terminate.
//
//     linkings: shared static
//     compilers: gcc clang
//     options: -O0 -O2

#include "backtrace.h"
#include "check.h"

#include <exception>
#include <rctx.h>
#include <stdexcept>
#include <sys/wait.h>

static char stack[1 << 18];
static ucontext_t home, context;
static int caught;

static void *thrower(void *, int, void *)
{
    throw std::runtime_error("through rctx_call");
}

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *, void *count)
{
    return ++*(int *)count < 64 ? _URC_NO_REASON : STOP_BACKTRACE;
}

__attribute__((noinline)) static int depth()
{
    int count = 0;
    CHECK(is_end(_Unwind_Backtrace(count_frame, &count)));
    return count;
}

static void *tracer(void *, int, void *)
{
    CHECK(depth() > 3); // itself, the hook, rctx_call and its caller
    return nullptr;
}

static void in_context()
{
    try {
        throw 7;
    } catch (int number) {
        caught += number;
    }
    CHECK(depth() <= 5); // ends at the trampoline
}

static void uncaught()
{
    throw 8;
}

static void enter(void (*function)())
{
    CHECK(getcontext(&context) == 0);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = sizeof stack;
    context.uc_link = &home;
    makecontext(&context, function, 0);
    CHECK(swapcontext(&home, &context) == 0);
}

int main()
{
    for (int i = 0; i < 3; i++) {
        try {
            rctx_call(thrower, nullptr, stack + sizeof stack);
            CHECK(!"not thrown");
        } catch (const std::runtime_error &) {
            caught++;
        }
    }
    CHECK(caught == 3);
    rctx_call(tracer, nullptr, stack + sizeof stack);
    enter(in_context);
    CHECK(caught == 10);

    pid_t child = fork();
    if (!child) {
        std::set_terminate([] { _Exit(42); });
        enter(uncaught);
        _Exit(1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    END();
}
