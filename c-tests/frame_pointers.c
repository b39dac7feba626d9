/* The chain of frame pointers that profilers follow ends with a null one where a context began, on a stack of its own
 * and in a slice; through rctx_call it goes on to the caller. On powerpc64 it is the chain of stack pointers.
 *
 * Not on arm and s390x, whose ABI have no such chain.
 *
 *     arch: x86 x86_64 aarch64 riscv64 loongarch64 powerpc64
 *     compilers: gcc clang
 *     flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls
 */
#include "check.h"

#include <rctx.h>

enum { STACK = 65536 };

static ucontext_t base, home, context;
static rctx_slice_t *main_slice, *slice;
static char stack[STACK];
static int length;
static void *const *driver, *const *last; /* the frame of drive(), at which we stop, and the end of the chain */

/* Where the older frame's address is kept, in words from a frame's. */
#if defined __riscv || defined __loongarch__
enum { OLDER = -2 };
#else
enum { OLDER = 0 };
#endif

__attribute__((noinline)) static void follow(void *const *frame)
{
    for (length = 0; frame && frame != driver; length++) {
        CHECK(length < 20);
        frame = frame[OLDER];
    }
    last = frame;
}

__attribute__((noinline)) static void inner(void)
{
    follow(__builtin_frame_address(0));
    keep(&length);
}

__attribute__((noinline)) static void middle(void)
{
    inner();
    keep(&length);
}

/* The trampoline may have a frame, too. */
#define IS_WHOLE (!last && (length == 3 || length == 4))

static void outermost(void)
{
    for (;;) {
        middle();
        CHECK(IS_WHOLE);
        CHECK(swapcontext(&context, &home) == 0);
    }
}

static void in_slice(void *unused)
{
    (void)unused;
    for (;;) {
        middle();
        CHECK(IS_WHOLE);
        CHECK(swapcontext_sliced(&context, &home, &base) == 0);
    }
}

static void in_handle(void *unused)
{
    (void)unused;
    for (;;) {
        middle();
        CHECK(IS_WHOLE);
        CHECK(rctx_slice_swap(&slice, main_slice, &base) == 0);
    }
}

static void *called(void *arg, int op, void *stacktop)
{
    (void)op, (void)stacktop;
    middle();
    return arg;
}

__attribute__((noinline)) static void drive(void)
{
    driver = __builtin_frame_address(0);
    middle();
    CHECK(last == driver && length == 2);
    CHECK(rctx_call(called, &base, stack + sizeof stack) == &base);
    CHECK(last == driver && length >= 3 && length <= 5); /* rctx_call may have some as well */
    driver = NULL;                                         /* slices lie where its frame is */

    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, outermost, 0);
    for (int i = 0; i < 2; i++) {
        length = 0;
        CHECK(swapcontext(&home, &context) == 0);
        CHECK(IS_WHOLE);
    }
    memset(&home, 0, sizeof home);
    memset(&context, 0, sizeof context);
    CHECK(rctx_makecontext_sliced(&context, &base, in_slice, NULL) == 0);
    for (int i = 0; i < 2; i++) {
        length = 0;
        CHECK(swapcontext_sliced(&home, &context, &base) == 0);
        CHECK(IS_WHOLE);
    }
    rctx_freecontext(&home);
    rctx_freecontext(&context);
    length = 0;
    CHECK(rctx_slice_start(&main_slice, &base, in_handle, NULL) == 0);
    CHECK(IS_WHOLE);
    length = 0;
    CHECK(rctx_slice_swap(&main_slice, slice, &base) == 0);
    CHECK(IS_WHOLE);
    rctx_slice_free(main_slice);
    rctx_slice_free(slice);
}

int main(void)
{
    CHECK(getcontext(&base) == 0);
    drive();
    END();
}
