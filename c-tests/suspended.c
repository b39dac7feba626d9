/* One context of each kind, suspended three calls deep, for a debugger to find: tests/gdb.rs stops at stop_here. */
#define _GNU_SOURCE
#include "check.h"

#include <rctx.h>
#include <signal.h>
#include <sys/mman.h>

static ucontext_t base, hub, on_a_stack, in_a_slice, refused, interrupted;
ucontext_t fresh[1]; /* not static: it is kept */
static rctx_slice_t *hub_handle, *handle;
static char stack[256 * 1024], other_stack[256 * 1024];
static int kind, *forbidden;

__attribute__((noinline)) void stop_here(void)
{
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void wait_inside(volatile int *depth)
{
    switch (kind) {
    case 0: CHECK(rctx_swapcontext(&on_a_stack, &hub) == 0); break;
    case 1: CHECK(swapcontext_sliced(&in_a_slice, &hub, &base) == 0); break;
    case 3: *(volatile int *)forbidden = 1; break;
    default: CHECK(rctx_slice_swap(&handle, hub_handle, &base) == 0);
    }
    CHECK(*depth == 3);
}

static __attribute__((noinline)) void level_two(volatile int *depth)
{
    *depth += 1;
    wait_inside(depth);
    CHECK(*depth == 3);
}

static __attribute__((noinline)) void level_one(void *unused)
{
    volatile int depth = 2;

    (void)unused;
    level_two(&depth);
    CHECK(depth == 3);
    if (kind == 2) {
        rctx_slice_free(handle);
        handle = NULL;
        rctx_slice_swap(NULL, hub_handle, &base);
    }
}

HANDLER static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    CHECK(rctx_copycontext(&interrupted, context) == 0);
    rctx_setcontext(&hub);
}

static void interrupt(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    ucontext_t started;

    forbidden = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(forbidden != MAP_FAILED);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    CHECK(rctx_getcontext(&started) == 0);
    started.uc_stack.ss_sp = other_stack;
    started.uc_stack.ss_size = sizeof other_stack;
    started.uc_link = &hub;
    rctx_makecontext(&started, level_one, NULL);
    CHECK(swapcontext(&hub, &started) == 0);
}

static __attribute__((noinline)) void all_suspended(void)
{
    volatile char trample[4096]; /* where the slices were */

    for (size_t i = 0; i < sizeof trample; i++)
        trample[i] = (char)0xa5;
    stop_here();
    keep(NULL); /* not a tail call */
}

int main(void)
{
    CHECK(getcontext(&base) == 0);
    CHECK(rctx_getcontext(&on_a_stack) == 0);
    on_a_stack.uc_stack.ss_sp = stack;
    on_a_stack.uc_stack.ss_size = sizeof stack;
    on_a_stack.uc_link = in_a_slice.uc_link = &hub;
    rctx_makecontext(&on_a_stack, level_one, NULL);
    refused = on_a_stack;
    rctx_makecontext(&refused, NULL, NULL);
    CHECK(rctx_makecontext_sliced(&in_a_slice, &base, level_one, NULL) == 0);

    CHECK(swapcontext(&hub, &on_a_stack) == 0);
    kind = 3;
    interrupt();
    kind = 1;
    CHECK(swapcontext_sliced(&hub, &in_a_slice, &base) == 0);
    kind = 2;
    CHECK(rctx_slice_start(&hub_handle, &base, level_one, NULL) == 0);
    all_suspended();

    CHECK(rctx_slice_swap(&hub_handle, handle, &base) == 0);
    kind = 1;
    CHECK(swapcontext_sliced(&hub, &in_a_slice, &base) == 0);
    kind = 0;
    CHECK(swapcontext(&hub, &on_a_stack) == 0);
    CHECK(mprotect(forbidden, 1, PROT_READ | PROT_WRITE) == 0);
    CHECK(swapcontext(&hub, &interrupted) == 0);
    CHECK(*forbidden == 1);
    rctx_freecontext(&interrupted);
    rctx_freecontext(&in_a_slice);
    rctx_freecontext(&hub);
    rctx_slice_free(hub_handle);
    END();
}
