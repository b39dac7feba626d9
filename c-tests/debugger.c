/* What gdb's `bt` shows inside contexts, at every instruction of a switch between them, and of a suspended one:
 * debugger.py looks.
 *
 *     linkings: gdb
 *     options: -O0 -O2
 *     compilers: gcc clang
 *     flags: -fno-optimize-sibling-calls
 */
#define _GNU_SOURCE
#include "check.h"

#include <rctx.h>

enum { STACK = 65536 };

static ucontext_t base, home;
ucontext_t context; /* not static: debugger.py reads it */
static rctx_slice_t *main_slice, *slice;
static char stack[STACK];

/* debugger.py stops here, and compares the callers with these names; a frame of the library may be the last. */
__attribute__((noinline)) void stop(const char *callers)
{
    keep((void *)(uintptr_t)callers);
}

/* And goes on by single instructions from here to there, where every backtrace has to end as it should. */
__attribute__((noinline)) void step_from(void)
{
    keep(NULL);
}

__attribute__((noinline)) void step_to(void)
{
    keep(NULL);
}

/* Looks at `context`, which is suspended, as if it ran. */
__attribute__((noinline)) void look(const char *callers)
{
    keep((void *)(uintptr_t)callers);
}

__attribute__((noinline)) static void middle(const char *callers)
{
    stop(callers);
    keep(NULL);
}

__attribute__((noinline)) static void leave(void)
{
    CHECK(swapcontext(&context, &home) == 0);
    step_to();
}

static void outermost(void)
{
    step_to();
    middle("middle outermost");
    for (;;)
        leave();
}

static void in_slice(void *unused)
{
    (void)unused;
    step_to();
    for (;;) {
        middle("middle in_slice");
        CHECK(swapcontext_sliced(&context, &home, &base) == 0);
        step_to();
    }
}

static void in_handle(void *unused)
{
    (void)unused;
    for (;;) {
        middle("middle in_handle");
        CHECK(rctx_slice_swap(&slice, main_slice, &base) == 0);
    }
}

static void *called(void *arg, int op, void *stacktop)
{
    (void)op, (void)stacktop;
    middle("middle called rctx_call drive main");
    return arg;
}

__attribute__((noinline)) static void drive(void)
{
    CHECK(rctx_call(called, &base, stack + sizeof stack) == &base);
    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, outermost, 0);
    for (int i = 0; i < 2; i++) {
        step_from();
        CHECK(swapcontext(&home, &context) == 0);
    }
    look("leave outermost");
    memset(&home, 0, sizeof home);
    memset(&context, 0, sizeof context);
    CHECK(rctx_makecontext_sliced(&context, &base, in_slice, NULL) == 0);
    for (int i = 0; i < 2; i++) {
        step_from();
        CHECK(swapcontext_sliced(&home, &context, &base) == 0);
    }
    rctx_freecontext(&home);
    rctx_freecontext(&context);
    CHECK(rctx_slice_start(&main_slice, &base, in_handle, NULL) == 0);
    CHECK(rctx_slice_swap(&main_slice, slice, &base) == 0);
    rctx_slice_free(main_slice);
    rctx_slice_free(slice);
}

int main(void)
{
    CHECK(getcontext(&base) == 0);
    drive();
    stop("main");
}
