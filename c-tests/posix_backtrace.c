/* A backtrace inside a context has the context's own frames and ends cleanly at the trampoline; it does so
 * again after a switch.
 *
 *     flags: -funwind-tables
 *     linkings: shared static preload oracle
 *     compilers: gcc clang
 */
#define _GNU_SOURCE
#include "check.h"

#include <unwind.h>

static ucontext_t home, context;
static char stack[1 << 18];
static uintptr_t frames[64];
static int count;

static _Unwind_Reason_Code note(struct _Unwind_Context *frame, void *unused)
{
    (void)unused;
    CHECK(count < 64);
    frames[count++] = _Unwind_GetIP(frame);
    return _URC_NO_REASON;
}

static int within(uintptr_t address, void *function)
{
    return _Unwind_FindEnclosingFunction((void *)address) == function;
}

#define FRAME __attribute__((noinline)) static void
#define NO_TAIL_CALL() __asm__ volatile("" ::: "memory")

FRAME inner(void)
{
    count = 0;
    CHECK(_Unwind_Backtrace(note, NULL) == _URC_END_OF_STACK);
    if (frames[count - 1] == 0)
        count--; /* the caller of the outermost frame, which backtrace() drops as well */
    NO_TAIL_CALL();
}

FRAME middle(void)
{
    inner();
    NO_TAIL_CALL();
}

FRAME outermost(void)
{
    for (;;) {
        middle();
        CHECK(swapcontext(&context, &home) == 0);
    }
}

int main(void)
{
    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, outermost, 0);
    for (int i = 0; i < 2; i++) {
        CHECK(swapcontext(&home, &context) == 0);
        CHECK(count == 4); /* the trampoline is the last */
        CHECK(within(frames[0], inner) && within(frames[1], middle) && within(frames[2], outermost));
    }
    END();
    return 0;
}
