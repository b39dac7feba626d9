/* The driver of registers_<isa>.c: each way of switching is called with every callee-saved register poisoned,
 * and each register is compared when it comes back, on both sides of the switch.
 *
 * The including file defines struct registers before, of whole 32-bit words without padding, and the two
 * functions below.
 */
#ifndef POISONED_H
#define POISONED_H

#include "check.h"

#include <rctx.h>
#include <signal.h>

/* Loads the registers from `in`, calls `function` with three arguments, and stores the registers in `out`. */
void call_poisoned(const struct registers *in, struct registers *out, void *function,
                   void *const arguments[3]);
/* Fills every register with values that differ from one `value` to the next. */
static void poison(struct registers *registers, uint64_t value);

static ucontext_t here, there, base;
static rctx_slice_t *our_slice, *their_slice;
static void *our_top, *their_top;
static void *function; /* by which both sides switch */

static void through(void *first, void *second, void *third)
{
    static uint64_t calls;
    struct registers in, out;
    void *const arguments[] = {first, second, third};

    poison(&in, ++calls);
    memset(&out, 0, sizeof out);
    call_poisoned(&in, &out, function, arguments);
    check_words("struct registers", &in, &out, sizeof in);
}

static void coroutine(void *unused)
{
    (void)unused;
    for (;;)
        through(&there, &here, &base);
}

/* Goes back by setcontext, or its twin, and on when it is resumed. */
static void coroutine_that_sets(void *set)
{
    for (;;) {
        volatile int resumed = 0;

        CHECK(getcontext(&there) == 0);
        if (!resumed) {
            resumed = 1;
            function = set;
            through(&here, NULL, NULL);
        }
    }
}

static void end(void *unused)
{
    (void)unused;
}

static void on_handle(void *unused)
{
    (void)unused;
    for (;;)
        through(&their_slice, our_slice, &base);
}

/* For rctx_switch: `mine` is where the caller's stack pointer is kept; the other one is where to go on. */
static void *change_stacks(void *mine, int op, void *stacktop)
{
    if (op == RCTX_RESTORE)
        return mine;
    *(void **)mine = stacktop;
    return mine == &our_top ? their_top : our_top;
}

static void *on_other_stack(void *mine, int op, void *stacktop)
{
    (void)op, (void)stacktop;
    for (;;)
        through((void *)change_stacks, mine, NULL);
    return NULL;
}

static void *start_other(void *mine, int op, void *stacktop)
{
    static _Alignas(64) char stack[65536];

    if (op == RCTX_RESTORE)
        return mine;
    *(void **)mine = stacktop;
    return rctx_call(on_other_stack, &their_top, stack + sizeof stack);
}

static void *stay(void *arg, int op, void *stacktop)
{
    (void)arg, (void)op;
    return stacktop;
}

HANDLER static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    setcontext(context);
    abort();
}

__attribute__((noinline)) static void three_times(void *first, void *second)
{
    for (int i = 0; i < 3; i++)
        through(first, second, &base);
}

__attribute__((noinline)) static void with_stack(void *swap, void (*other)(void *), void *set, int times)
{
    static _Alignas(64) char stack[65536];

    CHECK(getcontext(&there) == 0);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof stack;
    there.uc_link = &here;
    rctx_makecontext(&there, other, set);
    for (int i = 0; i < times; i++) {
        function = swap;
        through(&here, &there, &base);
    }
}

__attribute__((noinline)) static void with_slice(void *swap)
{
    memset(&here, 0, sizeof here);
    memset(&there, 0, sizeof there);
    CHECK(rctx_makecontext_sliced(&there, &base, coroutine, NULL) == 0);
    function = swap;
    three_times(&here, &there);
    rctx_freecontext(&here);
    rctx_freecontext(&there);
}

__attribute__((noinline)) static void with_handle(void)
{
    function = (void *)rctx_slice_swap;
    CHECK(rctx_slice_start(&our_slice, &base, on_handle, NULL) == 0);
    for (int i = 0; i < 3; i++)
        through(&our_slice, their_slice, &base);
    rctx_slice_free(our_slice);
    rctx_slice_free(their_slice);
}

int main(void)
{
    static _Alignas(64) char stack[65536];
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

    CHECK(getcontext(&base) == 0);
    with_stack((void *)swapcontext, coroutine, NULL, 3);
    with_stack((void *)rctx_swapcontext, coroutine, NULL, 3);
    with_stack((void *)swapcontext, coroutine_that_sets, (void *)setcontext, 3);
    with_stack((void *)swapcontext, coroutine_that_sets, (void *)rctx_setcontext, 3);
    with_stack((void *)swapcontext, end, NULL, 1);
    with_slice((void *)swapcontext_sliced);
    with_slice((void *)rctx_swapcontext_sliced);
    with_handle();

    function = (void *)rctx_switch;
    three_times((void *)stay, NULL);
    through((void *)start_other, &our_top, NULL);
    three_times((void *)change_stacks, &our_top);

    function = (void *)rctx_call;
    through((void *)stay, NULL, NULL);
    through((void *)stay, NULL, stack + sizeof stack);

    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    function = (void *)raise;
    three_times((void *)SIGUSR1, NULL);
    END();
}
#endif
