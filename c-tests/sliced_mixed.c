/* Contexts with slices and contexts with stacks of their own resume each other: every kind, every kind of target
 * and every way, the return through uc_link included. Each checks its frames whenever it goes on.
 *
 *     valgrind: memcheck
 */
#include "check.h"

#include <rctx.h>
#include <stddef.h>

enum kind { OWN_STACK, LIBRARY_SLICE, CALLERS_SLICE, CAPTURED_SLICE, KINDS };
enum way {
    BY_SWAP, /* as its kind saves itself */
    BY_TWIN,
    BY_PLAIN_SWAP, /* without a slice, even from one: given up after it */
    BY_SET,
    BY_TWIN_SET,
    BY_LINK,
    WAYS
};

enum { STACK = 64 * 1024, WORDS = 200 };

struct actor {
    ucontext_t context;
    enum kind kind;
    enum way way;
    const ucontext_t *target;
    int started, resumed;
    char slice[STACK], stack[STACK];
};

static ucontext_t base, driver, scrap;
static struct actor first, second;
static int arrivals;

/* Suspends the actor as its kind does, and resumes `target`. */
static void suspend(struct actor *actor, const ucontext_t *target, int twin)
{
    switch (actor->kind) {
    case OWN_STACK:
        CHECK((twin ? rctx_swapcontext : swapcontext)(&actor->context, target) == 0);
        break;
    case CAPTURED_SLICE:
        actor->resumed = 0;
        CHECK(rctx_getcontext_sliced(&actor->context, &base) == 0);
        if (!actor->resumed) {
            actor->resumed = 1;
            CHECK((twin ? rctx_setcontext : setcontext)(target) == 0);
        }
        break;
    default:
        CHECK((twin ? rctx_swapcontext_sliced : swapcontext_sliced)(&actor->context, target, &base) == 0);
    }
}

static void leave(struct actor *actor)
{
    switch (actor->way) {
    case BY_SWAP:
    case BY_TWIN:
        suspend(actor, actor->target, actor->way == BY_TWIN);
        break;
    case BY_PLAIN_SWAP:
        CHECK(swapcontext(&scrap, actor->target) == 0);
        break;
    case BY_SET:
        CHECK(setcontext(actor->target) == 0);
        break;
    default:
        CHECK(rctx_setcontext(actor->target) == 0);
    }
}

/* The frames go on twice: once suspended by the driver's wish, and once more where the way comes back. */
static __attribute__((noinline)) void live(struct actor *actor, uint64_t key, int depth)
{
    volatile uint64_t words[WORDS];

    for (uint64_t index = 0; index < WORDS; index++)
        words[index] = key ^ index;
    if (depth > 0) {
        live(actor, key + 1, depth - 1);
    } else {
        suspend(actor, &driver, 0);
        arrivals++;
        if (actor->way != BY_LINK)
            leave(actor);
    }
    for (uint64_t index = 0; index < WORDS; index++)
        CHECK(words[index] == (key ^ index));
}

static void run(void *argument)
{
    struct actor *actor = argument;

    actor->started = 1;
    live(actor, (uintptr_t)actor * (unsigned)(actor->way + 1), actor == &first ? 3 : 9);
}

/* Where the driver goes on: nearer than the base, so with a slice. */
static void resume(const struct actor *actor, int twin)
{
    CHECK((twin ? rctx_swapcontext_sliced : swapcontext_sliced)(&driver, &actor->context, &base) == 0);
}

static void make(struct actor *actor, enum kind kind, enum way way, const ucontext_t *target,
                 ucontext_t *link)
{
    rctx_freecontext(&actor->context);
    memset(actor, 0, offsetof(struct actor, slice));
    actor->kind = kind;
    actor->way = way;
    actor->target = target;
    actor->context.uc_link = link;
    if (kind == OWN_STACK || kind == CALLERS_SLICE) {
        actor->context.uc_stack.ss_sp = kind == OWN_STACK ? actor->stack : actor->slice;
        actor->context.uc_stack.ss_size = STACK;
    }
    if (kind == OWN_STACK)
        rctx_makecontext(&actor->context, run, actor);
    else
        CHECK(rctx_makecontext_sliced(&actor->context, &base, run, actor) == 0);
}

/* `first`, of one kind, goes to `second`, of another, in one way; second goes back to the driver in any. */
static __attribute__((noinline)) void meet(enum kind kind, enum kind other, enum way way, enum way back)
{
    make(&second, other, back, &driver, &driver);
    make(&first, kind, way, &second.context, &second.context);
    resume(&second, 0);
    resume(&first, 1);
    CHECK(first.started && second.started && arrivals == 0);
    resume(&first, back % 2);
    /* first -> second -> driver */
    CHECK(arrivals == 2);
    /* Who was left by a way that keeps it can go on, to the end. */
    if (way <= BY_TWIN) {
        if (back > BY_TWIN)
            make(&second, other, BY_LINK, &driver, &driver); /* first links to it */
        second.way = BY_LINK;
        resume(&first, 0);
        CHECK(second.started);
    }
    arrivals = 0;
}

static __attribute__((noinline)) void meet_all(void)
{
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (enum kind other = 0; other < KINDS; other++)
            for (enum way way = 0; way < WAYS; way++)
                for (enum way back = 0; back < WAYS; back++)
                    meet(kind, other, way, back);
}

int main(void)
{
    CHECK(getcontext(&base) == 0);
    meet_all();
    rctx_freecontext(&first.context);
    rctx_freecontext(&second.context);
    rctx_freecontext(&driver);
    END();
}
