/* One suspended context, resumed a thousand times, gives a thousand times the same frames; by each function that
 * resumes, from assigned and deep copies, and by the compact handle.
 *
 *     valgrind: memcheck
 */
#include "check.h"

#include <rctx.h>

enum { SHOTS = 1000, FRAMES = 12, WORDS = 40 };

static ucontext_t base, main_context, task, scrap;
static rctx_slice_t *main_slice, *task_slice;
static int shots;
static void (*suspend)(void);

/* The frames change what they hold after each resume: it must not be seen in the next. */
static __attribute__((noinline)) int descend(int depth)
{
    volatile uint64_t words[WORDS];
    volatile double real = depth / 4.0;
    int below;

    for (int index = 0; index < WORDS; index++)
        words[index] = (uint64_t)depth * 1000 + (uint64_t)index;
    if (depth < FRAMES)
        below = descend(depth + 1);
    else
        suspend(), below = 1000;
    for (int index = 0; index < WORDS; index++) {
        CHECK(words[index] == (uint64_t)depth * 1000 + (uint64_t)index);
        words[index] = 0xbad;
    }
    CHECK(real == depth / 4.0);
    real = -1;
    CHECK(below == 1000 + (FRAMES - depth));
    return below + 1;
}

static void suspend_context(void)
{
    CHECK(rctx_swapcontext_sliced(&task, &main_context, &base) == 0);
}

/* Comes back as often as the context is resumed. */
static void run(void *unused)
{
    (void)unused;
    CHECK(descend(0) == 1000 + FRAMES + 1);
    shots++;
    CHECK(setcontext(&main_context) == 0);
}

static void suspend_slice(void)
{
    CHECK(rctx_slice_swap(&task_slice, main_slice, &base) == 0);
}

static void run_slice(void *unused)
{
    (void)unused;
    CHECK(descend(0) == 1000 + FRAMES + 1);
    shots++;
    CHECK(rctx_slice_swap(NULL, main_slice, shots % 2 ? &base : NULL) == 0);
}

/* Locals of a frame that comes back are as they were saved: what is counted is counted elsewhere. */
static int asked;

/* Resumes `target` by each of six functions, and comes back. */
static __attribute__((noinline)) void shoot(const ucontext_t *target, int kind)
{
    int before = shots;

    asked = 1;
    if (kind < 2) {
        CHECK((kind ? swapcontext_sliced : rctx_swapcontext_sliced)(&main_context, target, &base) == 0);
    } else {
        CHECK(rctx_getcontext_sliced(&main_context, &base) == 0);
        if (asked) {
            asked = 0;
            switch (kind) {
            case 2:
                setcontext(target);
                break;
            case 3:
                rctx_setcontext(target);
                break;
            case 4:
                swapcontext(&scrap, target);
                break;
            default:
                rctx_swapcontext(&scrap, target);
            }
            CHECK(!"resumed");
        }
    }
    CHECK(shots == before + 1);
}

static __attribute__((noinline)) void drive(void)
{
    static ucontext_t assigned, deep;
    size_t size;

    suspend = suspend_context;
    CHECK(rctx_makecontext_sliced(&task, &base, run, NULL) == 0);
    CHECK(rctx_swapcontext_sliced(&main_context, &task, &base) == 0);
    size = rctx_slice_size(&task);
    CHECK(size > FRAMES * WORDS * sizeof(uint64_t) && shots == 0);
    for (int shot = 0; shot < SHOTS; shot++)
        shoot(&task, shot % 6);
    CHECK(shots == SHOTS && rctx_slice_size(&task) == size);

    assigned = task;
    CHECK(rctx_copycontext(&deep, &task) == 0);
    for (int shot = 0; shot < SHOTS; shot++)
        shoot(&assigned, shot % 6);
    rctx_freecontext(&task);
    for (int shot = 0; shot < SHOTS; shot++)
        shoot(&deep, shot % 6);
    CHECK(shots == 3 * SHOTS);
    rctx_freecontext(&deep);
    rctx_freecontext(&main_context);

    suspend = suspend_slice;
    CHECK(rctx_slice_start(&main_slice, &base, run_slice, NULL) == 0);
    for (int shot = 0; shot < SHOTS; shot++)
        CHECK(rctx_slice_swap(&main_slice, task_slice, &base) == 0);
    CHECK(shots == 4 * SHOTS);
    rctx_slice_free(main_slice);
    rctx_slice_free(task_slice);
}

int main(void)
{
    CHECK(getcontext(&base) == 0);
    drive();
    END();
}
