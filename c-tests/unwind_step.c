/* At every single instruction of the library a signal arrives, and its handler takes a backtrace: it names the
 * caller, or ends cleanly where a slice is being put back and neither stack is whole. The handler's own frame
 * lands below the stack pointer each time, so every instruction is also shown to keep nothing there.
 *
 * Not on arm, whose unwind table has one description a function, for the calls in it.
 *
 *     arch: x86 x86_64 aarch64 riscv64 s390x powerpc64
 *     libc: gnu
 *     linkings: shared
 *     options: -O2
 *     flags: -rdynamic -fasynchronous-unwind-tables
 */
#define _GNU_SOURCE
#include "stepping.h"

#ifdef LIBUNWIND
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#else
#include <unwind.h>
#endif

#define DRIVER __attribute__((noinline, section("driver")))
extern const char __start_driver[], __stop_driver[];

static struct {
    uintptr_t interrupted;
    int library_frames, driver_frames, frames;
    int in_library; /* still among the leading frames of the library */
    int seen;
} trace;

static unsigned long steps, ended_early, undescribed;

static int in_library(uintptr_t address)
{
    Dl_info info;

    return dladdr((void *)address, &info) && info.dli_fname && !strcmp(info.dli_fname, stepped_library());
}

static int in_driver(uintptr_t address)
{
    return address >= (uintptr_t)__start_driver && address < (uintptr_t)__stop_driver;
}

static void visit(uintptr_t ip)
{
    if (ip == trace.interrupted)
        trace.seen = trace.in_library = 1;
    if (!trace.seen || !ip)
        return;
    CHECK(trace.frames++ < 100);
    if (trace.in_library && in_library(ip)) {
        trace.library_frames++;
        return;
    }
    if (trace.in_library)
        CHECK(in_driver(ip)); /* the library was called by the driver, by nobody else */
    trace.in_library = 0;
    trace.driver_frames += in_driver(ip);
}

#ifdef LIBUNWIND
static void take_backtrace(void)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unw_word_t ip;
    int more;

    CHECK(unw_getcontext(&context) == 0);
    CHECK(unw_init_local(&cursor, &context) == 0);
    do {
        CHECK(unw_get_reg(&cursor, UNW_REG_IP, &ip) == 0);
        visit(ip);
        more = unw_step(&cursor);
    } while (more > 0);
    CHECK(more == 0);
}
#else
static _Unwind_Reason_Code visit_frame(struct _Unwind_Context *context, void *unused)
{
    (void)unused;
    visit(_Unwind_GetIP(context));
    return _URC_NO_REASON;
}

static void take_backtrace(void)
{
    CHECK(_Unwind_Backtrace(visit_frame, NULL) == _URC_END_OF_STACK);
}
#endif

enum { WITH_SLICE = 1, WITHOUT_SLICE };

/* Whether an exported function is all assembly. */
static int written_by_hand(const char *name)
{
    static const char *const with_slice[] = {"swapcontext_sliced", "rctx_swapcontext_sliced", "rctx_slice_start",
                                             "rctx_slice_swap", "rctx_switch"},
                             *const without[] = {"getcontext", "setcontext", "swapcontext", "makecontext",
                                                 "rctx_getcontext", "rctx_setcontext", "rctx_swapcontext",
                                                 "rctx_getcontext_sliced", "rctx_call", "getstacktop"};

    for (size_t i = 0; name && i < sizeof with_slice / sizeof *with_slice; i++)
        if (!strcmp(name, with_slice[i]))
            return WITH_SLICE;
    for (size_t i = 0; name && i < sizeof without / sizeof *without; i++)
        if (!strcmp(name, without[i]))
            return WITHOUT_SLICE;
    return 0;
}

/* Set while the first switch to a context has not entered its function: until then the backtrace, as soon as it is
 * the new context's, may end at the trampoline, where it would end after that function. */
static volatile int entering;

HANDLER static void on_trap(int signal, siginfo_t *info, void *context)
{
    Dl_info where;

    (void)signal, (void)info;
    memset(&trace, 0, sizeof trace);
    trace.interrupted = step_trapped(context);
    if (!in_library(trace.interrupted))
        return;
    CHECK(dladdr((void *)trace.interrupted, &where));
    if (!written_by_hand(where.dli_sname) && is_undescribed(trace.interrupted)) {
        undescribed++;
        return;
    }
    steps++;
    trace.interrupted += TAKEN_FOR_RETURN;
    PROGRAM_COUNTER(*(ucontext_t *)context) += TAKEN_FOR_RETURN;
    call_above(context, take_backtrace);
    PROGRAM_COUNTER(*(ucontext_t *)context) -= TAKEN_FOR_RETURN;
    CHECK(trace.seen && trace.library_frames);
    if (trace.driver_frames)
        return;
    if (entering) {
        CHECK(trace.library_frames <= 2); /* the trampoline is the last */
        return;
    }
    /* Only where a slice comes back: not in a function that moves registers alone. */
    CHECK(written_by_hand(where.dli_sname) != WITHOUT_SLICE);
    ended_early++;
}

static ucontext_t here, there, base, sliced;
static rctx_slice_t *running, *waiting;
static void *restored;
static int turns;

DRIVER static void coroutine(void)
{
    entering = 0;
    for (;;) {
        turns++;
        CHECK(swapcontext(&there, &here) == 0);
        turns++;
        CHECK(rctx_swapcontext(&there, &here) == 0);
    }
}

DRIVER static void returning(void)
{
    entering = 0;
    turns++;
}

DRIVER static void on_slice(void *arg)
{
    volatile char frame[700];

    memset((void *)frame, *(int *)arg, sizeof frame);
    for (;;) {
        turns++;
        CHECK(swapcontext_sliced(&sliced, &here, &base) == 0);
        for (size_t i = 0; i < sizeof frame; i++)
            CHECK(frame[i] == *(int *)arg);
    }
}

DRIVER static void on_handle(void *arg)
{
    volatile char frame[5000];

    memset((void *)frame, *(int *)arg, sizeof frame);
    for (;;) {
        turns++;
        CHECK(rctx_slice_swap(&waiting, running, &base) == 0);
        for (size_t i = 0; i < sizeof frame; i++)
            CHECK(frame[i] == *(int *)arg);
    }
}

static void *same_stack(void *arg, int op, void *stacktop)
{
    (void)arg;
    restored = stacktop;
    return op == RCTX_SAVE ? stacktop : &restored;
}

DRIVER static void plain(void)
{
    static char stack[65536];
    volatile int again = 0;

    CHECK(getcontext(&there) == 0);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof stack - 64; /* the alternate stack may be next: qemu takes its edge for a part */
    there.uc_link = &here;
    makecontext(&there, coroutine, 8, 1, 2, 3, 4, 5, 6, 7, 8);
    entering = 1;
    for (int i = 0; i < 4; i++)
        CHECK(swapcontext(&here, &there) == 0);
    CHECK(rctx_swapcontext(&here, &there) == 0);
    makecontext(&there, returning, 0);
    entering = 1;
    CHECK(swapcontext(&here, &there) == 0); /* comes back through uc_link */
    CHECK(rctx_getcontext(&here) == 0);
    if (again++ < 2) {
        if (again == 1)
            setcontext(&here);
        rctx_setcontext(&here);
    }
    CHECK(turns == 6);
    CHECK_FAILS(swapcontext(&here, NULL), EFAULT);
    memset(&there, 0, sizeof there);
    CHECK_FAILS(swapcontext(&here, &there), EINVAL);
    CHECK_FAILS(setcontext(&there), EINVAL);
}

DRIVER static void slices(void)
{
    static int pattern = 0x5a;

    memset(&here, 0, sizeof here);
    CHECK(getcontext(&base) == 0);
    sliced.uc_link = &here;
    CHECK(rctx_makecontext_sliced(&sliced, &base, on_slice, &pattern) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(swapcontext_sliced(&here, &sliced, &base) == 0);
    CHECK(rctx_slice_start(&running, &base, on_handle, &pattern) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(rctx_slice_swap(&running, waiting, &base) == 0);
    CHECK(rctx_switch(same_stack, NULL) == &restored);
    CHECK(rctx_call(same_stack, NULL, NULL) == &restored);
    CHECK(getstacktop() != NULL);
}

int main(void)
{
    static char alternate[1 << 16];
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

    step_prepare();
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0 && sigaction(SIGILL, &action, NULL) == 0);

    for (int on_alternate = 0; on_alternate < 2; on_alternate++) {
        if (on_alternate) {
            /* The same again where the handler's frame lands elsewhere. */
            stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
            CHECK(sigaltstack(&stack, NULL) == 0);
            action.sa_flags |= SA_ONSTACK;
            CHECK(sigaction(SIGTRAP, &action, NULL) == 0 && sigaction(SIGILL, &action, NULL) == 0);
        }
        turns = 0;
        step(1);
        plain();
        slices();
        step(0);
    }
    printf("%lu steps inside the library, %lu of them where no stack is whole; %lu more that the compiler"
           " does not describe\n", steps, ended_early, undescribed);
    CHECK(steps > 2000 && ended_early > 0);
    rctx_freecontext(&sliced);
    rctx_freecontext(&here);
    rctx_slice_free(running);
    rctx_slice_free(waiting);
    END();
}
