/* Contexts that share the stack: rctx's sliced family and its compact handle. */
#include "loops.h"

#include <malloc.h>

struct sharing;

struct task {
    struct sharing *sharing;
    struct task *other;
    ucontext_t context;
    rctx_slice_t *slice;
};

/* What the frames that are copied must not hold. */
struct sharing {
    ucontext_t base;
    struct task main, tasks[2];
    int (*swap)(ucontext_t *, const ucontext_t *, const ucontext_t *);
    size_t locals, left;
};

static struct sharing *sharing_new(size_t locals)
{
    struct sharing *sharing = calloc(1, sizeof *sharing);

    MUST(sharing);
    sharing->swap = rctx_swapcontext_sliced;
    sharing->locals = locals;
    for (int i = 0; i < 2; i++) {
        sharing->tasks[i].sharing = sharing;
        sharing->tasks[i].other = &sharing->tasks[!i];
    }
    return sharing;
}

/* Swaps with the other of its kind until none is left to do, then goes back to main. */
static void sliced_task(void *arg)
{
    struct task *self = arg, *other = self->other;
    struct sharing *sharing = self->sharing;
    int (*swap)(ucontext_t *, const ucontext_t *, const ucontext_t *) = sharing->swap;
    TAKE_LOCALS(sharing->locals);

    for (;;) {
        struct task *next = sharing->left-- ? other : &sharing->main;

        MUST(swap(&self->context, &next->context, &sharing->base) == 0);
    }
}

/* Resumes the first task for `n` swaps. A frame of its own, so that main has one to be saved. */
static NOINLINE double sliced_run(struct sharing *sharing, size_t n)
{
    double start = now();

    sharing->left = n & ~(size_t)1; /* even: it is the first again that comes back */
    MUST(sharing->swap(&sharing->main.context, &sharing->tasks[0].context, &sharing->base) == 0);
    return now() - start;
}

/* How many swaps touch all the memory before the clock runs. */
#define WARM_UP 4

static double sliced_swaps(int masked, size_t locals, size_t n, size_t *len)
{
    struct sharing *sharing = sharing_new(locals);
    double time;

    if (masked)
        sharing->swap = swapcontext_sliced;
    rctx_getcontext(&sharing->base);
    for (int i = 0; i < 2; i++)
        MUST(rctx_makecontext_sliced(&sharing->tasks[i].context, &sharing->base, sliced_task,
                                     &sharing->tasks[i]) == 0);
    sliced_run(sharing, WARM_UP);
    time = sliced_run(sharing, n);
    *len = rctx_slice_size(&sharing->tasks[0].context);
    rctx_freecontext(&sharing->main.context);
    rctx_freecontext(&sharing->tasks[0].context);
    rctx_freecontext(&sharing->tasks[1].context);
    free(sharing);
    return time;
}

double sliced_swap(int masked, size_t locals, size_t n)
{
    size_t len;

    return sliced_swaps(masked, locals, n, &len);
}

/* The bytes of a slice of a function with so many bytes of locals. */
size_t slice_length(size_t locals)
{
    size_t len;

    sliced_swaps(0, locals, 0, &len);
    return len;
}

static void compact_task(void *arg)
{
    struct task *self = arg, *other = self->other;
    struct sharing *sharing = self->sharing;
    int (*swap)(rctx_slice_t **, rctx_slice_t *, const ucontext_t *) = rctx_slice_swap;
    TAKE_LOCALS(sharing->locals);

    for (;;) {
        struct task *next = sharing->left-- ? other : &sharing->main;

        MUST(swap(&self->slice, next->slice, &sharing->base) == 0);
    }
}

static NOINLINE double compact_run(struct sharing *sharing, size_t n)
{
    double start = now();

    sharing->left = n & ~(size_t)1;
    MUST(rctx_slice_swap(&sharing->main.slice, sharing->tasks[0].slice, &sharing->base) == 0);
    return now() - start;
}

/* A frame of its own, as that of compact_run, for the slice that main is resumed from. */
static NOINLINE void compact_start(struct sharing *sharing, void (*func)(void *), void *arg)
{
    MUST(rctx_slice_start(&sharing->main.slice, &sharing->base, func, arg) == 0);
}

double compact_swap(size_t locals, size_t n)
{
    struct sharing *sharing = sharing_new(locals);
    double time;

    rctx_getcontext(&sharing->base);
    for (size_t i = 0; i < 2; i++) {
        sharing->left = 0; /* back at once, suspended in its loop */
        compact_start(sharing, compact_task, &sharing->tasks[i]);
    }
    compact_run(sharing, WARM_UP);
    time = compact_run(sharing, n);
    rctx_slice_free(sharing->main.slice);
    rctx_slice_free(sharing->tasks[0].slice);
    rctx_slice_free(sharing->tasks[1].slice);
    free(sharing);
    return time;
}

/* --- Creating contexts --- */

static void compact_back(void *arg)
{
    struct sharing *sharing = arg;

    rctx_slice_swap(NULL, sharing->main.slice, NULL);
    abort();
}

double compact_create(size_t n)
{
    struct sharing *sharing = sharing_new(0);
    double start;

    rctx_getcontext(&sharing->base);
    compact_start(sharing, compact_back, sharing);
    start = now();
    for (size_t i = 0; i < n; i++)
        compact_start(sharing, compact_back, sharing);
    start = now() - start;
    rctx_slice_free(sharing->main.slice);
    free(sharing);
    return start;
}

static void sliced_end(void *arg)
{
    (void)arg;
}

static NOINLINE void sliced_create(struct sharing *sharing)
{
    ucontext_t *task = &sharing->tasks[0].context;

    MUST(rctx_makecontext_sliced(task, &sharing->base, sliced_end, NULL) == 0);
    MUST(rctx_swapcontext_sliced(&sharing->main.context, task, &sharing->base) == 0);
}

double sliced_finish(size_t n)
{
    struct sharing *sharing = sharing_new(0);
    double start;

    rctx_getcontext(&sharing->base);
    sharing->tasks[0].context.uc_link = &sharing->main.context;
    /* The end of a context function keeps the mask of the context that it resumes; main has none. */
    sliced_create(sharing);
    start = now();
    for (size_t i = 0; i < n; i++)
        sliced_create(sharing);
    start = now() - start;
    rctx_freecontext(&sharing->main.context);
    rctx_freecontext(&sharing->tasks[0].context);
    free(sharing);
    return start;
}

/* --- Many contexts, round robin --- */

struct ring {
    ucontext_t base;
    rctx_slice_t *main, **slices, **end;
    size_t left, at;
};

static struct ring *ring; /* the one that runs */

static void ring_task(void *arg)
{
    rctx_slice_t **self = arg, **next = self + 1 < ring->end ? self + 1 : ring->slices;

    for (;;)
        MUST(rctx_slice_swap(self, ring->left-- ? *next : ring->main, &ring->base) == 0);
}

static NOINLINE double ring_run(size_t n)
{
    double start = now();

    ring->left = n;
    MUST(rctx_slice_swap(&ring->main, ring->slices[ring->at], &ring->base) == 0);
    ring->at = (ring->at + n) % (size_t)(ring->end - ring->slices);
    return now() - start;
}

/* A frame of its own, as that of ring_run. */
static NOINLINE void ring_start(rctx_slice_t **self)
{
    MUST(rctx_slice_start(&ring->main, &ring->base, ring_task, self) == 0);
}

static struct ring *ring_new(size_t count)
{
    struct ring *new = calloc(1, sizeof *new);

    MUST(new);
    new->slices = calloc(count, sizeof *new->slices);
    MUST(new->slices);
    new->end = new->slices + count;
    return new;
}

/* Suspends as many contexts as `ring` has room for. */
static void ring_fill(void)
{
    for (rctx_slice_t **self = ring->slices; self < ring->end; self++) {
        ring->left = 0;
        ring_start(self);
    }
}

/* Suspends `count` contexts and swaps round their ring, `n` swaps a round. Stores the time of each round and
 * the size of a context's block, and returns the resident bytes of a context, its handle included. */
double loop_ring(size_t count, size_t n, size_t rounds, double *times, size_t *block)
{
    size_t before, bytes;

    malloc_trim(0);
    before = resident();
    ring = ring_new(count);
    rctx_getcontext(&ring->base);
    ring_fill();
    bytes = resident() - before;
    *block = malloc_usable_size(ring->slices[0]);
    ring_run(n); /* warms up */
    for (size_t i = 0; i < rounds; i++)
        times[i] = ring_run(n);
    for (rctx_slice_t **self = ring->slices; self < ring->end; self++)
        rctx_slice_free(*self);
    rctx_slice_free(ring->main);
    free(ring->slices);
    free(ring);
    malloc_trim(0);
    return (double)bytes / (double)count;
}

/* The same bytes in the same order by bare memcpys: what the caches alone cost. */
void loop_ring_memcpys(size_t count, size_t len, size_t n, size_t rounds, double *times)
{
    void *(*volatile load)(void *, const void *, size_t) = memcpy;
    void *(*copy)(void *, const void *, size_t) = load;
    char **blocks = malloc(count * sizeof *blocks);
    char stack[len];
    size_t at = 0;

    MUST(blocks);
    memset(stack, 1, len);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(len);
        MUST(blocks[i]);
        memset(blocks[i], 1, len);
    }
    for (size_t i = 0; i <= rounds; i++) {
        double start = now();

        for (size_t j = 0; j < n; j++) {
            size_t next = at + 1 < count ? at + 1 : 0;

            copy(blocks[at], stack, len);
            copy(stack, blocks[next], len);
            at = next;
        }
        if (i)
            times[i - 1] = now() - start;
    }
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    free(blocks);
    malloc_trim(0);
}

/* The base of a ring must be further up than whoever runs it, in a frame that is still there: the contexts are made
 * anew at each call, outside of the time. */
double compact_cold(size_t n)
{
    double time;
    size_t block;

    loop_ring(COLD, n, 1, &time, &block);
    return time;
}

static void back_task(void *arg)
{
    struct task *self = arg;

    rctx_swapcontext_sliced(&self->context, &self->sharing->main.context, &self->sharing->base);
    abort();
}

static NOINLINE void resident_start(struct task *task)
{
    MUST(rctx_makecontext_sliced(&task->context, &task->sharing->base, back_task, task) == 0);
    MUST(rctx_swapcontext_sliced(&task->sharing->main.context, &task->context, &task->sharing->base) == 0);
}

/* The resident bytes of a suspended context with a slice, a whole `ucontext_t`. */
double sliced_resident(size_t count)
{
    struct sharing *sharing = sharing_new(0);
    size_t before, bytes;
    struct task *tasks;

    malloc_trim(0);
    before = resident();
    tasks = calloc(count, sizeof *tasks);
    MUST(tasks);
    rctx_getcontext(&sharing->base);
    for (size_t i = 0; i < count; i++) {
        tasks[i].sharing = sharing;
        resident_start(&tasks[i]);
    }
    bytes = resident() - before;
    for (size_t i = 0; i < count; i++)
        rctx_freecontext(&tasks[i].context);
    rctx_freecontext(&sharing->main.context);
    free(tasks);
    free(sharing);
    malloc_trim(0);
    return (double)bytes / (double)count;
}
