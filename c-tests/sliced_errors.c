/* Every error of the sliced functions: -1, the errno, no switch, and each context as it was before.
 *
 *     flags: -pthread
 */
#include "check.h"

#include <pthread.h>
#include <rctx.h>

static ucontext_t base, nearer_base, main_context, task, other;
static int progress;
enum { TASK_DEPTH = 40000 };

/* What must not change when a call is refused: two contexts with the bytes that their slices keep. */
struct picture {
    const ucontext_t *context;
    ucontext_t copy;
    size_t size;
    void *bytes;
};

static void take(struct picture *picture, const ucontext_t *context)
{
    *picture = (struct picture){.context = context};
    if (!context)
        return;
    picture->copy = *context;
    picture->size = rctx_slice_size(context);
    if (picture->size) {
        picture->bytes = malloc(context->uc_stack.ss_size);
        CHECK(picture->bytes);
        memcpy(picture->bytes, context->uc_stack.ss_sp, picture->size);
    }
}

static void compare(struct picture *picture)
{
    if (!picture->context)
        return;
    CHECK(memcmp(picture->context, &picture->copy, sizeof picture->copy) == 0);
    CHECK(rctx_slice_size(picture->context) == picture->size);
    if (picture->size)
        CHECK(memcmp(picture->context->uc_stack.ss_sp, picture->bytes, picture->size) == 0);
    free(picture->bytes);
}

/* That `call`, which is given the contexts `first` and `second`, is refused. */
#define REFUSED(call, error, first, second)                                                       \
    do {                                                                                          \
        static struct picture pictures[2];                                                        \
        take(&pictures[0], first);                                                                \
        take(&pictures[1], second);                                                               \
        CHECK_FAILS(call, error);                                                                 \
        compare(&pictures[0]);                                                                    \
        compare(&pictures[1]);                                                                    \
    } while (0)

/* Each form of a switch that saves a slice. */
#define SWITCH_REFUSED(from, to, base, error)                                                     \
    do {                                                                                          \
        REFUSED(swapcontext_sliced(from, to, base), error, from, to);                             \
        REFUSED(rctx_swapcontext_sliced(from, to, base), error, from, to);                        \
    } while (0)

/* Each form of a resume that saves none. */
#define RESUME_REFUSED(to, error)                                                                 \
    do {                                                                                          \
        static ucontext_t from;                                                                   \
        memset(&from, 0, sizeof from);                                                            \
        REFUSED(setcontext(to), error, to, NULL);                                                 \
        REFUSED(rctx_setcontext(to), error, to, NULL);                                            \
        REFUSED(swapcontext(&from, to), error, NULL, to);                                         \
        REFUSED(rctx_swapcontext(&from, to), error, &from, to);                                   \
        REFUSED(swapcontext_sliced(&from, to, NULL), error, NULL, to);                            \
    } while (0)

/* A task that counts each time that it is resumed. */
static void count(void *step)
{
    volatile char room[TASK_DEPTH];
    volatile int mine = (int)(intptr_t)step;

    keep(room);
    memset((char *)room, 5, sizeof room);
    for (;;) {
        progress += mine;
        CHECK(swapcontext_sliced(&task, &main_context, &base) == 0);
        CHECK(room[0] == 5 && room[sizeof room - 1] == 5);
    }
}

/* That everything that was refused above still goes on. */
static void expect_progress(void)
{
    int before = progress;

    CHECK(swapcontext_sliced(&main_context, &task, &base) == 0);
    CHECK(progress == before + 3);
}

static void null_pointers(void)
{
    rctx_slice_t *handle = NULL;

    SWITCH_REFUSED(NULL, &task, &base, EFAULT);
    SWITCH_REFUSED(&main_context, NULL, &base, EFAULT);
    SWITCH_REFUSED(NULL, &task, NULL, EFAULT);
    SWITCH_REFUSED(&main_context, NULL, NULL, EFAULT);
    SWITCH_REFUSED(NULL, NULL, NULL, EFAULT);
    REFUSED(rctx_getcontext_sliced(NULL, &base), EFAULT, NULL, NULL);
    REFUSED(rctx_getcontext_sliced(NULL, NULL), EFAULT, NULL, NULL);
    REFUSED(rctx_makecontext_sliced(NULL, &base, count, NULL), EFAULT, NULL, NULL);
    REFUSED(rctx_makecontext_sliced(&other, NULL, count, NULL), EFAULT, &other, NULL);
    REFUSED(rctx_copycontext(NULL, &task), EFAULT, &task, NULL);
    REFUSED(rctx_copycontext(&other, NULL), EFAULT, &other, NULL);
    REFUSED(rctx_slice_start(&handle, NULL, count, NULL), EFAULT, NULL, NULL);
    REFUSED(rctx_slice_swap(&handle, NULL, &base), EFAULT, NULL, NULL);
    REFUSED(rctx_slice_swap(NULL, NULL, NULL), EFAULT, NULL, NULL);
    CHECK(!handle);
    rctx_freecontext(NULL);
    rctx_slice_free(NULL);
    CHECK(rctx_slice_size(NULL) == 0);
}

/* From one frame, so that the slice is as long each time. */
static __attribute__((noinline)) int capture(ucontext_t *context, const ucontext_t *to_base)
{
    int status = rctx_getcontext_sliced(context, to_base);

    __asm__ volatile("" ::: "memory");
    return status;
}

/* Which error of several comes first when the buffer is too small as well. */
static void small_buffer_first(void)
{
    static char buffer[RCTX_SLICE_OVERHEAD + 4];
    static ucontext_t zeroed, nowhere;

    memset(&zeroed, 0, sizeof zeroed);
    memset(&other, 0, sizeof other);
    other.uc_stack.ss_sp = buffer;
    other.uc_stack.ss_size = sizeof buffer;
    nowhere = base;
    memset(&nowhere, 0, sizeof(long)); /* uc_flags, which some name otherwise */
    SWITCH_REFUSED(&other, &task, &base, ENOMEM);
    SWITCH_REFUSED(&other, &zeroed, &base, ENOMEM);
    SWITCH_REFUSED(&other, &task, &nowhere, ENOMEM);
    REFUSED(rctx_makecontext_sliced(&other, &base, NULL, NULL), ENOMEM, &other, NULL);
    REFUSED(rctx_makecontext_sliced(&other, &nowhere, count, NULL), ENOMEM, &other, NULL);
    REFUSED(rctx_copycontext(&other, &task), ENOMEM, &other, &task);
    other.uc_stack.ss_size = RCTX_SLICE_OVERHEAD - 1;
    SWITCH_REFUSED(&other, &task, &base, ENOMEM);
    other.uc_stack.ss_size = 1;
    SWITCH_REFUSED(&other, &task, &base, ENOMEM);
    REFUSED(capture(&other, &base), ENOMEM, &other, NULL);
    memset(&other, 0, sizeof other);
}

/* The caller's memory: exactly as much as promised, at any alignment, and not a byte beside it. */
static void own_memory(void)
{
    enum { GUARD = 64 };
    static ucontext_t library;
    size_t size;

    memset(&library, 0, sizeof library);
    CHECK(capture(&library, &base) == 0);
    size = rctx_slice_size(&library);
    CHECK(size > 0);
    for (size_t shift = 0; shift < 32; shift++) {
        unsigned char *memory = malloc(GUARD + shift + size + RCTX_SLICE_OVERHEAD + GUARD);
        unsigned char *start = memory + GUARD + shift, *end = start + size + RCTX_SLICE_OVERHEAD;

        CHECK(memory);
        memset(memory, 0xa5, (size_t)(end + GUARD - memory));
        memset(&other, 0, sizeof other);
        other.uc_stack.ss_sp = start;
        other.uc_stack.ss_size = size + RCTX_SLICE_OVERHEAD - 1;
        REFUSED(capture(&other, &base), ENOMEM, &other, NULL);
        REFUSED(rctx_copycontext(&other, &library), ENOMEM, &other, &library);
        other.uc_stack.ss_size++;
        CHECK(capture(&other, &base) == 0);
        CHECK(rctx_slice_size(&other) == size);
        CHECK(rctx_copycontext(&other, &library) == 0);
        for (size_t index = 0; index < GUARD; index++)
            CHECK(memory[index] == 0xa5 && end[index] == 0xa5);
        /* Not the library's: left alone. */
        rctx_freecontext(&other);
        CHECK(other.uc_stack.ss_sp == start && rctx_slice_size(&other) == size);
        free(memory);
    }
    memset(&other, 0, sizeof other);
    rctx_freecontext(&library);
}

/* A uc_stack that says neither of the two. */
static void odd_stacks(void)
{
    static char buffer[4096];

    memset(&other, 0, sizeof other);
    other.uc_stack.ss_sp = buffer;
    other.uc_stack.ss_size = sizeof buffer;
    other.uc_stack.ss_flags = SS_DISABLE;
    SWITCH_REFUSED(&other, &task, &base, EINVAL);
    memset(&other, 0, sizeof other);
    other.uc_stack.ss_size = 4096;
    SWITCH_REFUSED(&other, &task, &base, EINVAL);
    memset(&other, 0, sizeof other);
}

static void assigned_copies(void)
{
    static ucontext_t assigned;

    assigned = task;
    SWITCH_REFUSED(&assigned, &task, &base, EINVAL);
    SWITCH_REFUSED(&assigned, &main_context, &base, EINVAL);
    SWITCH_REFUSED(&task, &assigned, &base, EINVAL); /* would save over what it resumes */
    REFUSED(capture(&assigned, &base), EINVAL, &assigned, &task);
    REFUSED(rctx_makecontext_sliced(&assigned, &base, count, NULL), EINVAL, &assigned, &task);
    REFUSED(rctx_copycontext(&assigned, &main_context), EINVAL, &assigned, &task);
    rctx_freecontext(&assigned);
    CHECK(rctx_slice_size(&assigned) == rctx_slice_size(&task));
}

static void bad_targets(void)
{
    static ucontext_t zeroed, poisoned;

    memset(&zeroed, 0, sizeof zeroed);
    SWITCH_REFUSED(&main_context, &zeroed, &base, EINVAL);
    CHECK(getcontext(&poisoned) == 0);
    poisoned.uc_stack.ss_sp = &zeroed;
    poisoned.uc_stack.ss_size = 4;
    rctx_makecontext(&poisoned, count, NULL);
    SWITCH_REFUSED(&main_context, &poisoned, &base, ENOMEM);
    REFUSED(rctx_makecontext_sliced(&other, &base, NULL, NULL), EINVAL, &other, NULL);
    REFUSED(rctx_makecontext_sliced(&other, &zeroed, count, NULL), EINVAL, &other, NULL);
    SWITCH_REFUSED(&main_context, &task, &zeroed, EINVAL);
}

/* A base nearer than the caller: its frame is below this one. */
static __attribute__((noinline)) void capture_nearer(void)
{
    char room[2000];

    keep(room);
    CHECK(getcontext(&nearer_base) == 0);
    keep(room);
}

/* A slice that reaches past the base: frames that nobody saves. */
static __attribute__((noinline)) void past_the_base(void)
{
    char room[512];
    ucontext_t short_base;
    rctx_slice_t *handle = NULL;

    keep(room);
    CHECK(getcontext(&short_base) == 0);
    SWITCH_REFUSED(&main_context, &task, &short_base, EINVAL);
    REFUSED(rctx_slice_swap(&handle, NULL, &short_base), EFAULT, NULL, NULL);
    keep(room);
}

/* Contexts in bytes that the switch overwrites. This frame lies where the task's slice goes. */
static __attribute__((noinline)) void in_the_way(void)
{
    ucontext_t here;

    memset(&here, 0, sizeof here);
    SWITCH_REFUSED(&here, &task, &base, EINVAL);

    CHECK(rctx_copycontext(&here, &task) == 0);
    SWITCH_REFUSED(&main_context, &here, &base, EINVAL);
    RESUME_REFUSED(&here, EINVAL);
    rctx_freecontext(&here);

}

/* A slice that would overwrite the memory that it comes from. */
static __attribute__((noinline)) void on_itself(void)
{
    char buffer[TASK_DEPTH + 8000];

    memset(&other, 0, sizeof other);
    other.uc_stack.ss_sp = buffer;
    other.uc_stack.ss_size = sizeof buffer;
    CHECK(rctx_copycontext(&other, &task) == 0);
    SWITCH_REFUSED(&main_context, &other, &base, EINVAL);
    RESUME_REFUSED(&other, EINVAL);
    memset(&other, 0, sizeof other);
}

/* Memory for the slice in the free part of the stack, where the task's bytes go. (Inside the slice itself it
 * is always too small.) */
static void in_the_free_stack(void)
{
    enum { DISTANCE = 20000, SIZE = 16000 };

    memset(&other, 0, sizeof other);
    other.uc_stack.ss_sp = (char *)getstacktop() - DISTANCE;
    other.uc_stack.ss_size = SIZE;
    SWITCH_REFUSED(&other, &task, &base, EINVAL);
    memset(&other, 0, sizeof other);
}

/* Contexts that lie in the memory that the switch saves into. */
static void in_the_buffer(void)
{
    static union {
        char memory[64 * 1024];
        ucontext_t inside;
    } buffer;

    memset(&buffer, 0, sizeof buffer);
    memset(&other, 0, sizeof other);
    other.uc_stack.ss_sp = buffer.memory;
    other.uc_stack.ss_size = sizeof buffer;
    CHECK(rctx_copycontext(&buffer.inside, &task) == 0);
    SWITCH_REFUSED(&other, &buffer.inside, &base, EINVAL);
    rctx_freecontext(&buffer.inside);
    memset(&other, 0, sizeof other);
}

/* On a stack of its own: bases of the thread's stack do not serve, nor the other way round. */
static ucontext_t on_own, own_base, back;

static void run_on_own_stack(void *unused)
{
    static ucontext_t local_base, self;

    (void)unused;
    memset(&other, 0, sizeof other);
    SWITCH_REFUSED(&other, &task, &base, EINVAL);
    CHECK(getcontext(&own_base) == 0);
    CHECK(getcontext(&local_base) == 0);
    CHECK(getcontext(&self) == 0);
    /* uc_stack is the stack that is running. */
    self.uc_stack = on_own.uc_stack;
    {
        char room[256];

        keep(room);
        SWITCH_REFUSED(&self, &task, &local_base, EINVAL);
        other.uc_stack = on_own.uc_stack;
        SWITCH_REFUSED(&other, &main_context, &local_base, EINVAL);
        keep(room);
    }
    memset(&other, 0, sizeof other);
    CHECK(swapcontext(&on_own, &back) == 0);
}

static void two_stacks(void)
{
    memset(&on_own, 0, sizeof on_own);
    CHECK(rctx_stack_alloc(&on_own.uc_stack, 64 * 1024) == 0);
    rctx_makecontext(&on_own, run_on_own_stack, NULL);
    CHECK(swapcontext(&back, &on_own) == 0);
    SWITCH_REFUSED(&other, &task, &own_base, EINVAL);
    CHECK(rctx_stack_free(&on_own.uc_stack) == 0);
}

/* Another thread's base and slices. */
static ucontext_t foreign_base, foreign_context;
static rctx_slice_t *foreign_slice;
static pthread_barrier_t ready, done;

static void wait_for_main(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&ready);
    pthread_barrier_wait(&done);
    CHECK(rctx_slice_swap(NULL, foreign_slice, NULL) == 0);
}

static __attribute__((noinline)) void be_foreign(void)
{
    CHECK(rctx_makecontext_sliced(&foreign_context, &foreign_base, count, NULL) == 0);
    CHECK(rctx_slice_start(&foreign_slice, &foreign_base, wait_for_main, NULL) == 0);
}

static void *run_thread(void *unused)
{
    (void)unused;
    CHECK(getcontext(&foreign_base) == 0);
    be_foreign();
    rctx_freecontext(&foreign_context);
    rctx_slice_free(foreign_slice);
    return NULL;
}

static void two_threads(void)
{
    rctx_slice_t *handle = NULL;
    pthread_t thread;

    CHECK(pthread_barrier_init(&ready, NULL, 2) == 0 && pthread_barrier_init(&done, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, run_thread, NULL) == 0);
    pthread_barrier_wait(&ready);
    SWITCH_REFUSED(&main_context, &task, &foreign_base, EINVAL);
    REFUSED(capture(&main_context, &foreign_base), EINVAL, &main_context, NULL);
    REFUSED(rctx_makecontext_sliced(&other, &foreign_base, count, NULL), EINVAL, &other, NULL);
    SWITCH_REFUSED(&main_context, &foreign_context, &base, EINVAL);
    RESUME_REFUSED(&foreign_context, EINVAL);
    REFUSED(rctx_slice_start(&handle, &foreign_base, count, NULL), EINVAL, NULL, NULL);
    REFUSED(rctx_slice_swap(&handle, foreign_slice, &base), EINVAL, NULL, NULL);
    REFUSED(rctx_slice_swap(NULL, foreign_slice, NULL), EINVAL, NULL, NULL);
    CHECK(!handle);
    pthread_barrier_wait(&done);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* The compact handle. */
static rctx_slice_t *main_slice, *task_slice;

static void count_slice(void *unused)
{
    volatile char room[1000];

    (void)unused;
    room[0] = 1;
    for (;;) {
        progress += 3;
        CHECK(rctx_slice_swap(&task_slice, main_slice, &base) == 0);
        CHECK(room[0] == 1);
    }
}

static __attribute__((noinline)) void short_base_for_slices(void)
{
    char room[512];
    ucontext_t short_base;
    rctx_slice_t *before = main_slice;

    keep(room);
    CHECK(getcontext(&short_base) == 0);
    REFUSED(rctx_slice_swap(&main_slice, task_slice, &short_base), EINVAL, NULL, NULL);
    REFUSED(rctx_slice_swap(NULL, task_slice, &short_base), EINVAL, NULL, NULL);
    CHECK(main_slice == before);
    keep(room);
}

static __attribute__((noinline)) void handles(void)
{
    rctx_slice_t *inside = NULL, *before;
    int counted;

    CHECK(rctx_slice_start(&main_slice, &base, count_slice, NULL) == 0);
    before = main_slice;
    REFUSED(rctx_slice_start(&main_slice, &base, NULL, NULL), EINVAL, NULL, NULL);
    REFUSED(rctx_slice_start(&inside, &base, count_slice, NULL), EINVAL, NULL, NULL);
    REFUSED(rctx_slice_swap(&inside, task_slice, &base), EINVAL, NULL, NULL);
    capture_nearer();
    REFUSED(rctx_slice_start(&main_slice, &nearer_base, count_slice, NULL), EINVAL, NULL, NULL);
    REFUSED(rctx_slice_swap(&main_slice, task_slice, &nearer_base), EINVAL, NULL, NULL);
    REFUSED(rctx_slice_swap(NULL, task_slice, &nearer_base), EINVAL, NULL, NULL);
    REFUSED(rctx_slice_swap(&main_slice, NULL, &base), EFAULT, NULL, NULL);
    REFUSED(rctx_slice_swap(&main_slice, task_slice, NULL), EFAULT, NULL, NULL);
    short_base_for_slices();
    CHECK(!inside && main_slice == before);
    counted = progress;
    CHECK(rctx_slice_swap(&main_slice, task_slice, &base) == 0);
    CHECK(progress == counted + 3);
    rctx_slice_free(main_slice);
    rctx_slice_free(task_slice);
}

static __attribute__((noinline)) void refuse_all(void)
{
    static void (*const parts[])(void) = {null_pointers,   own_memory,    odd_stacks, assigned_copies,
                                          bad_targets,     past_the_base, in_the_way, on_itself, in_the_buffer,
                                          in_the_free_stack, two_stacks,  two_threads};

    CHECK(rctx_makecontext_sliced(&task, &base, count, (void *)3) == 0);
    expect_progress();
    for (size_t index = 0; index < sizeof parts / sizeof *parts; index++) {
        parts[index]();
        expect_progress();
    }
    small_buffer_first();
    expect_progress();
    capture_nearer();
    SWITCH_REFUSED(&main_context, &task, &nearer_base, EINVAL);
    REFUSED(capture(&main_context, &nearer_base), EINVAL, &main_context, NULL);
    expect_progress();
    handles();
    expect_progress();
}

int main(void)
{
    CHECK(getcontext(&base) == 0);
    refuse_all();
    CHECK(rctx_slice_size(&base) == 0);
    rctx_freecontext(&base); /* no slice: nothing happens */
    CHECK(rctx_slice_size(&task) > TASK_DEPTH);
    rctx_freecontext(&task);
    CHECK(rctx_slice_size(&task) == 0);
    RESUME_REFUSED(&task, EINVAL);
    rctx_freecontext(&task);
    rctx_freecontext(&main_context);
    END();
}
