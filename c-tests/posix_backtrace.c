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
static uintptr_t frames[64];
static int count;

static _Unwind_Reason_Code note(struct _Unwind_Context *frame, void *unused)
{
    (void)unused;
    CHECK(count < 64);
    frames[count++] = _Unwind_GetIP(frame);
    return _URC_NO_REASON;
}

#define FRAME __attribute__((noinline)) static void
#define NO_TAIL_CALL() __asm__ volatile("" ::: "memory")

FRAME inner(void)
{
    count = 0;
    CHECK(is_end(_Unwind_Backtrace(note, NULL)));
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

int main(void);

/* Whether `address` is in `function`: by the addresses of all, because arm's linker gives neighbours one description. */
static int within(uintptr_t address, void (*function)(void))
{
    void (*const functions[])(void) = {inner, middle, outermost, (void (*)(void))main};
    uintptr_t nearest = 0;

    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if ((uintptr_t)functions[i] < address && (uintptr_t)functions[i] > nearest)
            nearest = (uintptr_t)functions[i];
    return nearest == (uintptr_t)function;
}

int main(void)
{
    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, outermost, 0);
    for (int i = 0; i < 2; i++) {
        CHECK(swapcontext(&home, &context) == 0);
        CHECK(count == 3 + SHOWS_LAST_FRAME); /* the trampoline */
        CHECK(within(frames[0], inner) && within(frames[1], middle) && within(frames[2], outermost));
    }
    END();
    return 0;
}
