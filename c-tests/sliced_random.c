/* A thousand sliced contexts, each 0 to 64 KiB deep, switch to one another at random. After every switch the
 * one that goes on checks every local of every frame of its own, its floating-point values and its rounding.
 *
 *     flags: -lm
 *     valgrind: memcheck
 *
 * RCTX_LONG in the environment asks for twenty times as many switches.
 */
#include "check.h"

#include <alloca.h>
#include <fenv.h>
#include <rctx.h>
#include <valgrind/valgrind.h>

enum { TASKS = 1000, DEEPEST = 64 * 1024, WORDS = 96 };

/* The optimised builds are the ones with time for ten million between their linkings. */
#if defined __OPTIMIZE__ && !defined __OPTIMIZE_SIZE__
#define SWITCHES 5000000
#else
#define SWITCHES 50000
#endif

struct frame {
    struct frame *older;
    uint64_t key;
    double real;
    long double extended;
    size_t count;
    uint64_t *words;
};

struct task {
    ucontext_t contexts[2]; /* the second is for a copy to move to */
    ucontext_t *context;
    char *memory; /* for every third, the program's own */
    int rounding, finished;
};

static struct task tasks[TASKS];
static ucontext_t base, main_context;
static struct task *running;
static unsigned long switches, wanted, deepest, copies;

/* Exact in every rounding. */
static double real_of(uint64_t key)
{
    return (double)(key % 1000003) / 8.0;
}

static long double extended_of(uint64_t key)
{
    return (long double)key / 16.0L;
}

static void fill(struct frame *frame)
{
    frame->real = real_of(frame->key);
    frame->extended = extended_of(frame->key);
    for (size_t index = 0; index < frame->count; index++)
        frame->words[index] = frame->key + index * 0x9e3779b97f4a7c15u;
}

static void check_frames(const struct task *task, const struct frame *frame)
{
    CHECK(running == task);
    CHECK(fegetround() == task->rounding);
    for (; frame; frame = frame->older) {
        CHECK(frame->real == real_of(frame->key));
        CHECK(frame->extended == extended_of(frame->key));
        for (size_t index = 0; index < frame->count; index++)
            CHECK(frame->words[index] == frame->key + index * 0x9e3779b97f4a7c15u);
    }
}

/* Moves a suspended task to its other context. */
static void move(struct task *task)
{
    ucontext_t *other = &task->contexts[task->context == &task->contexts[0]];

    if (task == running || task->memory)
        return;
    CHECK(rctx_copycontext(other, task->context) == 0);
    CHECK(rctx_slice_size(other) == rctx_slice_size(task->context));
    rctx_freecontext(task->context);
    task->context = other;
    copies++;
}

static void switch_away(struct task *task, const struct frame *frame)
{
    struct task *next = &tasks[next_random() % TASKS];
    const ucontext_t *target = &main_context;
    int status;

    if (next_random() % 512 == 0)
        move(&tasks[next_random() % TASKS]);
    if (++switches < wanted && !next->finished)
        target = next->context;
    running = target == &main_context ? NULL : next;
    status = next_random() % 16 ? rctx_swapcontext_sliced(task->context, target, &base)
                                : swapcontext_sliced(task->context, target, &base);
    CHECK(status == 0);
    if (rctx_slice_size(task->context) > deepest)
        deepest = rctx_slice_size(task->context);
    check_frames(task, frame);
}

static void descend(struct task *task, struct frame *older, const char *limit)
{
    struct frame frame = {.older = older, .key = next_random(), .count = 1 + next_random() % WORDS};

    frame.words = alloca(frame.count * sizeof *frame.words);
    fill(&frame);
    if ((char *)getstacktop() > limit && switches < wanted)
        descend(task, &frame, limit);
    do
        switch_away(task, &frame);
    while (switches < wanted && next_random() % 4 == 0);
    check_frames(task, &frame);
}

static void run(void *argument)
{
    struct task *task = argument;
    double scale;
    size_t depth;

    fesetround(task->rounding);
    while (switches < wanted) {
        /* Each power of two is as likely as the next. */
        scale = (double)(1u << next_random() % 17);
        depth = (size_t)(scale * (double)(next_random() % 1000) / 1000.0);
        descend(task, NULL, (char *)getstacktop() - depth);
    }
    CHECK(fegetround() == task->rounding);
    fesetround(FE_TONEAREST);
    task->finished = 1;
}

static void set_up(struct task *task, size_t index)
{
    static const int roundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    const size_t size = 2 * DEEPEST + RCTX_SLICE_OVERHEAD;

    task->context = &task->contexts[0];
    task->rounding = roundings[index % 4];
    if (index % 3 == 0) {
        task->memory = malloc(size);
        CHECK(task->memory);
        task->context->uc_stack.ss_sp = task->memory;
        task->context->uc_stack.ss_size = size;
    }
    task->context->uc_link = &main_context;
    CHECK(rctx_makecontext_sliced(task->context, &base, run, task) == 0);
}

static void __attribute__((noinline)) drive(void)
{
    for (size_t index = 0; index < TASKS; index++)
        set_up(&tasks[index], index);
    /* The first part runs until the wanted number is reached; then each is resumed until it has unwound. */
    for (size_t index = 0; index < TASKS; index++)
        while (!tasks[index].finished) {
            running = &tasks[index];
            CHECK(swapcontext_sliced(&main_context, running->context, &base) == 0);
        }
    for (size_t index = 0; index < TASKS; index++) {
        rctx_freecontext(tasks[index].context);
        free(tasks[index].memory);
    }
    rctx_freecontext(&main_context);
}

int main(void)
{
    wanted = emulated() ? SWITCHES / 50 : SWITCHES;
    if (getenv("RCTX_LONG"))
        wanted *= 20;
    if (RUNNING_ON_VALGRIND)
        wanted = 5000;
    seed_random();
    CHECK(getcontext(&base) == 0);
    drive();
    printf("%lu switches, deepest slice %lu bytes, %lu copies\n", switches, deepest, copies);
    END();
}
