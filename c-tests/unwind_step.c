/* At every single instruction of the library a signal arrives, and its handler takes a backtrace: it names the
 * caller, or ends cleanly where a slice is being put back and neither stack is whole. The handler's own frame
 * lands below the stack pointer each time, so every instruction is also shown to keep nothing there.
 *
 *     arch: x86_64
 *     native: yes
 *     linkings: shared
 *     flags: -rdynamic
 */
#define _GNU_SOURCE
#include "check.h"

#include <dlfcn.h>
#include <rctx.h>
#include <signal.h>
#include <unwind.h>

#define DRIVER __attribute__((noinline, section("driver")))
extern const char __start_driver[], __stop_driver[];

static struct {
    uintptr_t interrupted;
    int library_frames, driver_frames, frames;
    int in_library; /* still among the leading frames of the library */
    int seen;
} trace;

static unsigned long steps, ended_early;
static char library[4096];

static int in_library(uintptr_t address)
{
    Dl_info info;

    return dladdr((void *)address, &info) && info.dli_fname && !strcmp(info.dli_fname, library);
}

static int in_driver(uintptr_t address)
{
    return address >= (uintptr_t)__start_driver && address < (uintptr_t)__stop_driver;
}

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *unused)
{
    uintptr_t ip = _Unwind_GetIP(context);

    (void)unused;
    if (ip == trace.interrupted)
        trace.seen = trace.in_library = 1;
    if (!trace.seen || !ip)
        return _URC_NO_REASON;
    CHECK(trace.frames++ < 100);
    if (trace.in_library && in_library(ip)) {
        trace.library_frames++;
        return _URC_NO_REASON;
    }
    if (trace.in_library)
        CHECK(in_driver(ip)); /* the library was called by the driver, by nobody else */
    trace.in_library = 0;
    trace.driver_frames += in_driver(ip);
    return _URC_NO_REASON;
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
    Dl_info where;

    (void)signal, (void)info;
    memset(&trace, 0, sizeof trace);
    trace.interrupted = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (!in_library(trace.interrupted))
        return;
    steps++;
    CHECK(_Unwind_Backtrace(visit, NULL) == _URC_END_OF_STACK);
    CHECK(trace.seen && trace.library_frames);
    if (!trace.driver_frames) {
        /* Only where a slice comes back: not in a function that moves registers alone. */
        CHECK(dladdr((void *)trace.interrupted, &where));
        if (where.dli_sname) {
            CHECK(strcmp(where.dli_sname, "getcontext") && strcmp(where.dli_sname, "setcontext"));
            CHECK(strcmp(where.dli_sname, "swapcontext") && strcmp(where.dli_sname, "makecontext"));
            CHECK(strcmp(where.dli_sname, "rctx_swapcontext"));
        }
        ended_early++;
    }
}

static void step(int on)
{
    unsigned long long flags = __builtin_ia32_readeflags_u64();

    __builtin_ia32_writeeflags_u64(on ? flags | 0x100 : flags & ~0x100ull);
}

static ucontext_t here, there, base, sliced;
static rctx_slice_t *running, *waiting;
static void *restored;
static int turns;

DRIVER static void coroutine(void)
{
    for (;;) {
        turns++;
        CHECK(swapcontext(&there, &here) == 0);
        turns++;
        CHECK(rctx_swapcontext(&there, &here) == 0);
    }
}

DRIVER static void returning(void)
{
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
    there.uc_stack.ss_size = sizeof stack;
    there.uc_link = &here;
    makecontext(&there, coroutine, 8, 1, 2, 3, 4, 5, 6, 7, 8);
    for (int i = 0; i < 4; i++)
        CHECK(swapcontext(&here, &there) == 0);
    CHECK(rctx_swapcontext(&here, &there) == 0);
    makecontext(&there, returning, 0);
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
    Dl_info info;

    CHECK(dladdr((void *)(uintptr_t)rctx_version, &info));
    snprintf(library, sizeof library, "%s", info.dli_fname);
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);

    for (int on_alternate = 0; on_alternate < 2; on_alternate++) {
        if (on_alternate) {
            /* The same again where the handler's frame lands elsewhere. */
            stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
            CHECK(sigaltstack(&stack, NULL) == 0);
            action.sa_flags |= SA_ONSTACK;
            CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
        }
        turns = 0;
        step(1);
        plain();
        slices();
        step(0);
    }
    printf("%lu steps inside the library, %lu of them where no stack is whole\n", steps, ended_early);
    CHECK(steps > 2000 && ended_early > 0);
    rctx_freecontext(&sliced);
    rctx_freecontext(&here);
    rctx_slice_free(running);
    rctx_slice_free(waiting);
    END();
}
