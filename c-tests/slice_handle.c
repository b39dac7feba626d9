/* The compact handle: its block is reused, grows and shrinks; a null `from` drops the running context; the block
 * of a running context may be freed; a function that returns ends the process with one line.
 *
 *     valgrind: memcheck
 */
#include "child.h"

#include <alloca.h>
#include <malloc.h>
#include <rctx.h>

enum { SMALL = 500, LARGE = 20000, MANY = 20000 };

static ucontext_t base;
static rctx_slice_t *main_slice, *task_slice, *many[MANY];
static size_t depth;
static int turns;

static __attribute__((noinline)) void suspend_at(size_t size)
{
    volatile char *room = alloca(size);
    int turn = ++turns;

    room[0] = (char)turn;
    room[size - 1] = (char)~turn;
    CHECK(rctx_slice_swap(&task_slice, main_slice, &base) == 0);
    CHECK(room[0] == (char)turn && room[size - 1] == (char)~turn);
}

static void run(void *argument)
{
    CHECK(argument == &turns);
    for (;;)
        suspend_at(depth);
}

static void turn_at(size_t size)
{
    depth = size;
    CHECK(rctx_slice_swap(&main_slice, task_slice, &base) == 0);
}

static __attribute__((noinline)) void grow_and_shrink(void)
{
    rctx_slice_t *small, *large;

    turns = 0;
    depth = SMALL;
    CHECK(rctx_slice_start(&main_slice, &base, run, &turns) == 0);
    small = task_slice;
    turn_at(SMALL);
    CHECK(task_slice == small); /* fits: reused */
    turn_at(SMALL * 4 / 5);
    CHECK(task_slice == small); /* more than half is used: kept */
    turn_at(LARGE);
    large = task_slice;
    CHECK(malloc_usable_size(large) >= LARGE);
    turn_at(LARGE * 4 / 5);
    CHECK(task_slice == large);
    turn_at(SMALL);
    CHECK(malloc_usable_size(task_slice) < LARGE / 2); /* less than half: shrunk */
    CHECK(turns == 6);
    rctx_slice_free(task_slice);
    task_slice = NULL;
}

/* To itself, in the same frames and once more later. */
static __attribute__((noinline)) void to_itself(void)
{
    static int returns;
    volatile int local = 7;

    returns = 0;
    CHECK(rctx_slice_swap(&main_slice, main_slice, &base) == 0);
    CHECK(local == 7);
    local = 8; /* taken back by the resume */
    if (++returns < 5)
        CHECK(rctx_slice_swap(NULL, main_slice, returns % 2 ? NULL : &base) == 0);
    CHECK(returns == 5);
}

/* Frees its own block while it runs, and starts another in its place before it leaves. */
static void run_freed(void *unused)
{
    (void)unused;
    CHECK(rctx_slice_swap(&task_slice, main_slice, &base) == 0);
    rctx_slice_free(task_slice);
    task_slice = NULL;
    turns++;
    CHECK(rctx_slice_swap(&task_slice, main_slice, &base) == 0);
    turns++;
    rctx_slice_free(task_slice);
    task_slice = NULL;
    depth = SMALL;
    CHECK(rctx_slice_start(NULL, &base, run, &turns) == 0);
}

static __attribute__((noinline)) void free_running(void)
{
    turns = 0;
    CHECK(rctx_slice_start(&main_slice, &base, run_freed, NULL) == 0);
    CHECK(turns == 0);
    turn_at(SMALL);
    CHECK(turns == 1 && task_slice);
    turn_at(SMALL);
    CHECK(turns == 3 && task_slice); /* the last by run */
    turn_at(SMALL);
    CHECK(turns == 4);
    rctx_slice_free(task_slice);
    task_slice = NULL;
}

/* Many at once; each holds a block of its own of exactly what it needs, and ends by dropping itself. */
static void run_many(void *number)
{
    volatile intptr_t mine = (intptr_t)number;

    CHECK(rctx_slice_swap(&many[mine], main_slice, &base) == 0);
    CHECK(mine == (intptr_t)number);
    rctx_slice_free(many[mine]);
    many[mine] = NULL;
    turns++;
    CHECK(rctx_slice_swap(NULL, main_slice, &base) == 0);
}

static __attribute__((noinline)) void many_at_once(void)
{
    turns = 0;
    for (intptr_t number = 0; number < MANY; number++)
        CHECK(rctx_slice_start(&main_slice, &base, run_many, (void *)number) == 0);
    for (intptr_t number = 0; number < MANY; number++)
        CHECK(rctx_slice_swap(&main_slice, many[number * 7919 % MANY], &base) == 0);
    CHECK(turns == MANY);
}

static void return_at_once(void *unused)
{
    (void)unused;
}

static void start_and_return(void *unused)
{
    (void)unused;
    rctx_slice_start(&main_slice, &base, return_at_once, NULL);
}

static void expect_one_line(void)
{
    char text[512], *end;
    int status = run_in_child(start_and_return, NULL, text, sizeof text);

    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(strncmp(text, "rctx: ", 6) == 0);
    end = strchr(text, '\n');
    CHECK(end != NULL);
    CHECK(end[1] == '\0' || (emulated() && strncmp(end + 1, "qemu: ", 6) == 0)); /* it says that it aborts */
}

static __attribute__((noinline)) void drive(void)
{
    grow_and_shrink();
    to_itself();
    free_running();
    many_at_once();
    rctx_slice_free(main_slice);
    main_slice = NULL;
}

int main(void)
{
    CHECK(getcontext(&base) == 0);
    drive();
    expect_one_line();
    END();
}
