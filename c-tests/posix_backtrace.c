/* A backtrace inside a context has the context's own frames and ends cleanly at the trampoline; it does so
 * again after a switch.
 *
 *     flags: -funwind-tables
 *     linkings: shared static preload oracle
 *     compilers: gcc clang
 */
#define _GNU_SOURCE
#include "backtrace.h"
#include "check.h"

static ucontext_t home, context;
static char stack[1 << 18];
static struct {
    uintptr_t address, function;
} frames[64];
static int count;

static _Unwind_Reason_Code note(struct _Unwind_Context *frame, void *unused)
{
    (void)unused;
    CHECK(count < 64);
    frames[count].address = _Unwind_GetIP(frame);
    frames[count++].function = _Unwind_GetRegionStart(frame);
    return _URC_NO_REASON;
}

static int within(int index, void (*function)(void))
{
    uintptr_t start = (uintptr_t)function;

#ifdef __thumb__
    start--; /* bit 0 says so */
#endif
    return frames[index].function == start;
}

#define FRAME __attribute__((noinline)) static void
#define NO_TAIL_CALL() __asm__ volatile("" ::: "memory")

FRAME inner(void)
{
    count = 0;
    CHECK(is_end(_Unwind_Backtrace(note, NULL)));
    if (frames[count - 1].address == 0)
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
        CHECK(count == 3 + SHOWS_LAST_FRAME); /* the trampoline */
        CHECK(within(0, inner) && within(1, middle) && within(2, outermost));
    }
    END();
    return 0;
}
