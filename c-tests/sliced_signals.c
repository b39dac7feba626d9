/* A storm of timer signals while slices are copied out and back: handlers on the stack and on the alternate stack
 * write over all that they are given, and no context loses a byte. */
#include "check.h"

#include <alloca.h>
#include <rctx.h>
#include <signal.h>
#include <sys/time.h>

enum { TASKS = 40, SIGNALS = 3000, SHALLOW = 64, DEEP = 48 * 1024, HANDLER_ROOM = 4096 };

static ucontext_t base, main_context, tasks[TASKS];
static rctx_slice_t *main_slice, *slices[TASKS];
static volatile sig_atomic_t signals;
static unsigned long switches;
static int by_handle;

static void arm(void)
{
    struct itimerval timer = {.it_value.tv_usec = 50};

    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

/* Arms the timer again at its end: a handler may take longer than the time between two signals. */
HANDLER static void handler(int signal)
{
    volatile char room[HANDLER_ROOM];

    (void)signal;
    for (size_t index = 0; index < sizeof room; index++)
        room[index] = (char)0xee;
    if (++signals < SIGNALS)
        arm();
}

/* Every kind of switch: short and long copies, in either direction, deeper and shallower targets. */
static __attribute__((noinline)) void leave(int number, size_t depth)
{
    uint64_t *words = alloca(depth);
    uint64_t key = next_random();
    int next = (int)(next_random() % TASKS);

    for (size_t index = 0; index < depth / sizeof *words; index++)
        words[index] = key + index;
    switches++;
    if (signals >= SIGNALS)
        CHECK((by_handle ? rctx_slice_swap(&slices[number], main_slice, &base)
                         : swapcontext_sliced(&tasks[number], &main_context, &base)) == 0);
    else if (by_handle)
        CHECK(rctx_slice_swap(&slices[number], slices[next], &base) == 0);
    else
        CHECK((switches % 2 ? swapcontext_sliced : rctx_swapcontext_sliced)(&tasks[number], &tasks[next],
                                                                           &base) == 0);
    for (size_t index = 0; index < depth / sizeof *words; index++)
        CHECK(words[index] == key + index);
}

static void run(void *argument)
{
    int number = (int)(intptr_t)argument;

    if (by_handle)
        CHECK(rctx_slice_swap(&slices[number], main_slice, &base) == 0);
    for (;;)
        leave(number, next_random() % 3 ? SHALLOW + next_random() % 4096 / 8 * 8
                                        : next_random() % DEEP / 8 * 8 + 8);
}

static __attribute__((noinline)) void storm(int handles)
{
    by_handle = handles;
    for (intptr_t number = 0; number < TASKS; number++) {
        if (by_handle)
            CHECK(rctx_slice_start(&main_slice, &base, run, (void *)number) == 0);
        else
            CHECK(rctx_makecontext_sliced(&tasks[number], &base, run, (void *)number) == 0);
    }
    signals = 0;
    arm();
    CHECK((by_handle ? rctx_slice_swap(&main_slice, slices[0], &base)
                     : swapcontext_sliced(&main_context, &tasks[0], &base)) == 0);
    /* Each is resumed once more, to check what it held. */
    for (int number = 0; number < TASKS; number++)
        CHECK((by_handle ? rctx_slice_swap(&main_slice, slices[number], &base)
                         : swapcontext_sliced(&main_context, &tasks[number], &base)) == 0);
    for (int number = 0; number < TASKS; number++) {
        rctx_freecontext(&tasks[number]);
        rctx_slice_free(slices[number]);
        slices[number] = NULL;
    }
    printf("%d signals, %lu switches\n", (int)signals, switches);
}

int main(void)
{
    static char alternate[64 * 1024];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    seed_random();
    CHECK(sigaltstack(&stack, NULL) == 0);
    CHECK(getcontext(&base) == 0);
    for (int alternately = 0; alternately < 2; alternately++) {
        action.sa_flags = SA_RESTART | (alternately ? SA_ONSTACK : 0);
        CHECK(sigaction(SIGALRM, &action, NULL) == 0);
        storm(0);
        storm(1);
    }
    END();
}
