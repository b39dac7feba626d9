/* The loops that are timed. Each returns the nanoseconds that `n` operations took.
 *
 * Every peer is called in the same way, through a function pointer held in a register, because glibc's
 * functions and ours have the same names. States are locals of the frame that drives them, so two threads
 * may run a loop at once; only contexts on a shared stack need theirs elsewhere.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define MUST(condition)                                                                             \
    do {                                                                                            \
        if (__builtin_expect(!(condition), 0)) {                                                    \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                 \
            abort();                                                                                \
        }                                                                                           \
    } while (0)

typedef struct rctx_slice rctx_slice_t;
typedef void *hook_t(void *arg, int op, void *stacktop);
typedef void *fcontext_t;
typedef struct {
    fcontext_t from;
    void *data;
} transfer_t;

/* The four functions of POSIX, as glibc or as we have them. */
struct posix {
    int (*getcontext)(ucontext_t *);
    int (*setcontext)(const ucontext_t *);
    void (*makecontext)(ucontext_t *, void (*)(void), int, ...);
    int (*swapcontext)(ucontext_t *, const ucontext_t *);
    int policy; /* of rctx_sigmask, set while it runs */
};

#define RCTX_FUNCTIONS(F)                                                                           \
    F(int, rctx_sigmask, (int))                                                                     \
    F(int, rctx_getcontext, (ucontext_t *))                                                         \
    F(int, rctx_setcontext, (const ucontext_t *))                                                   \
    F(int, rctx_swapcontext, (ucontext_t *, const ucontext_t *))                                    \
    F(int, swapcontext_sliced, (ucontext_t *, const ucontext_t *, const ucontext_t *))              \
    F(int, rctx_swapcontext_sliced, (ucontext_t *, const ucontext_t *, const ucontext_t *))         \
    F(int, rctx_makecontext_sliced, (ucontext_t *, const ucontext_t *, void (*)(void *), void *))   \
    F(void, rctx_freecontext, (ucontext_t *))                                                       \
    F(size_t, rctx_slice_size, (const ucontext_t *))                                                \
    F(int, rctx_slice_start, (rctx_slice_t **, const ucontext_t *, void (*)(void *), void *))       \
    F(int, rctx_slice_swap, (rctx_slice_t **, rctx_slice_t *, const ucontext_t *))                  \
    F(void, rctx_slice_free, (rctx_slice_t *))                                                      \
    F(void *, rctx_switch, (hook_t *, void *))                                                      \
    F(void *, rctx_call, (hook_t *, void *, void *))                                                \
    F(int, rctx_stack_alloc, (stack_t *, size_t))                                                   \
    F(int, rctx_stack_free, (stack_t *))                                                            \
    F(const char *, rctx_version, (void))

#define DECLARE(type, name, arguments) static type(*name) arguments;
RCTX_FUNCTIONS(DECLARE)

static transfer_t (*jump_fcontext)(fcontext_t, void *);
static fcontext_t (*make_fcontext)(void *, size_t, void (*)(transfer_t));

enum { GLIBC, POSIX, NONE, TWINS, PEERS };
static struct posix peers[PEERS];

static void *symbol(void *library, const char *name)
{
    void *address = dlsym(library, name);

    if (!address) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return address;
}

static void load_posix(struct posix *peer, void *library)
{
    peer->getcontext = symbol(library, "getcontext");
    peer->setcontext = symbol(library, "setcontext");
    peer->makecontext = symbol(library, "makecontext");
    peer->swapcontext = symbol(library, "swapcontext");
}

/* Loads the peers; returns whether Boost's fcontext is there. */
int load_peers(const char *rctx_path, const char *fcontext_path)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_LOCAL);
    void *rctx = dlopen(rctx_path, RTLD_NOW | RTLD_LOCAL);
    void *boost = dlopen(fcontext_path, RTLD_NOW | RTLD_LOCAL);

    if (!libc || !rctx) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
#define LOAD(type, name, arguments) name = symbol(rctx, #name);
    RCTX_FUNCTIONS(LOAD)
    load_posix(&peers[GLIBC], libc);
    load_posix(&peers[POSIX], rctx);
    load_posix(&peers[NONE], rctx);
    peers[NONE].policy = 1; /* RCTX_SIGMASK_NONE */
    load_posix(&peers[TWINS], rctx);
    peers[TWINS].getcontext = rctx_getcontext;
    peers[TWINS].setcontext = rctx_setcontext;
    peers[TWINS].swapcontext = rctx_swapcontext;
    MUST(peers[GLIBC].swapcontext != peers[POSIX].swapcontext);
    if (!boost)
        return 0;
    jump_fcontext = symbol(boost, "jump_fcontext");
    make_fcontext = symbol(boost, "make_fcontext");
    return 1;
}

const char *library_version(void)
{
    return rctx_version();
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* --- Contexts with a stack of their own --- */

#define STACK_SIZE ((size_t)64 * 1024)

struct pair {
    int (*swap)(ucontext_t *, const ucontext_t *);
    ucontext_t main, task;
};

static void pair_task(struct pair *pair)
{
    int (*swap)(ucontext_t *, const ucontext_t *) = pair->swap;

    for (;;)
        MUST(swap(&pair->task, &pair->main) == 0);
}

static void make(const struct posix *peer, ucontext_t *ucp, char *stack, void (*func)(void), void *arg,
                 ucontext_t *link)
{
    MUST(peer->getcontext(ucp) == 0);
    ucp->uc_stack.ss_sp = stack;
    ucp->uc_stack.ss_size = STACK_SIZE;
    ucp->uc_link = link;
    peer->makecontext(ucp, func, 1, arg);
}

double loop_swap(int which, size_t n)
{
    const struct posix *peer = &peers[which];
    int (*swap)(ucontext_t *, const ucontext_t *) = peer->swapcontext;
    char *stack = malloc(STACK_SIZE);
    struct pair pair = {.swap = swap};
    double start;

    MUST(stack);
    rctx_sigmask(peer->policy);
    make(peer, &pair.task, stack, (void (*)(void))pair_task, &pair, NULL);
    MUST(swap(&pair.main, &pair.task) == 0);
    start = now();
    for (size_t i = 0; i < n; i += 2)
        MUST(swap(&pair.main, &pair.task) == 0);
    start = now() - start;
    rctx_sigmask(0);
    free(stack);
    return start;
}

double loop_getcontext(int which, size_t n)
{
    const struct posix *peer = &peers[which];
    int (*get)(ucontext_t *) = peer->getcontext;
    ucontext_t context;
    double start;

    rctx_sigmask(peer->policy);
    start = now();
    for (size_t i = 0; i < n; i++)
        MUST(get(&context) == 0);
    start = now() - start;
    rctx_sigmask(0);
    return start;
}

static _Thread_local volatile size_t resumes_left;

/* A capture that is resumed: nothing that changes in between lives in this frame. */
static NOINLINE void resume_again(const struct posix *peer, ucontext_t *context)
{
    peer->getcontext(context);
    if (resumes_left) {
        resumes_left--;
        peer->setcontext(context);
        abort();
    }
}

double loop_setcontext(int which, size_t n)
{
    ucontext_t context;
    double start;

    rctx_sigmask(peers[which].policy);
    resumes_left = n;
    start = now();
    resume_again(&peers[which], &context);
    start = now() - start;
    rctx_sigmask(0);
    return start;
}

double loop_sigprocmask(size_t n)
{
    uint64_t old, new = 0;
    double start;

    /* The mask that it installs is the one in force, as between two contexts with the same mask. */
    MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &new, sizeof new) == 0);
    start = now();
    for (size_t i = 0; i < n; i++) {
        long result = SYS_rt_sigprocmask;
        register size_t size asm("r10") = sizeof new;

        asm volatile("syscall"
                     : "+a"(result)
                     : "D"(SIG_SETMASK), "S"(&new), "d"(&old), "r"(size)
                     : "rcx", "r11", "memory");
        MUST(result == 0);
    }
    return now() - start;
}

static void fcontext_task(transfer_t transfer)
{
    transfer_t (*jump)(fcontext_t, void *) = jump_fcontext;

    for (;;)
        transfer = jump(transfer.from, NULL);
}

double loop_fcontext(size_t n)
{
    transfer_t (*jump)(fcontext_t, void *) = jump_fcontext;
    char *stack = malloc(STACK_SIZE);
    transfer_t transfer;
    double start;

    MUST(stack);
    transfer = jump(make_fcontext(stack + STACK_SIZE, STACK_SIZE, fcontext_task), NULL);
    start = now();
    for (size_t i = 0; i < n; i += 2)
        transfer = jump(transfer.from, NULL);
    start = now() - start;
    free(stack);
    return start;
}

/* --- rctx_switch between two stacks, no byte copied --- */

struct switched {
    void *other; /* the stack pointer of whoever does not run */
    char *stack, *image;
    int capturing;
    size_t image_len;
};

/* Exchanges the stack pointers. */
static void *exchange(void *arg, int op, void *stacktop)
{
    struct switched *state = arg;
    void *target = state->other;

    if (op == 0) /* RCTX_SAVE */
        state->other = stacktop;
    else
        target = NULL;
    return op == 0 ? target : arg;
}

/* Keeps an image of the new stack as it is at its first switch, because the frames that follow it there are
 * those of a call that returns. */
static void *keep_image(void *arg, int op, void *stacktop)
{
    struct switched *state = arg;

    if (op == 0 && state->capturing) {
        state->other = stacktop;
        state->image_len = (size_t)(state->stack + STACK_SIZE - (char *)stacktop);
        state->image = malloc(state->image_len);
        MUST(state->image);
        memcpy(state->image, stacktop, state->image_len);
        return stacktop;
    }
    if (state->capturing) {
        state->capturing = 0;
        return NULL;
    }
    return arg;
}

static void *put_image(void *arg, int op, void *stacktop)
{
    struct switched *state = arg;

    if (op == 0)
        return exchange(arg, op, stacktop);
    memcpy(stacktop, state->image, state->image_len);
    return arg;
}

static void *switch_task(void *arg, int op, void *stacktop)
{
    void *(*volatile sw)(hook_t *, void *) = rctx_switch;

    (void)op, (void)stacktop;
    if (!sw(keep_image, arg))
        return NULL;
    for (void *(*hot)(hook_t *, void *) = rctx_switch;;)
        hot(exchange, arg);
}

double loop_switch(size_t n)
{
    void *(*sw)(hook_t *, void *) = rctx_switch;
    struct switched state = {.stack = malloc(STACK_SIZE), .capturing = 1};
    double start;

    MUST(state.stack);
    rctx_call(switch_task, &state, state.stack + STACK_SIZE);
    sw(put_image, &state);
    start = now();
    for (size_t i = 0; i < n; i += 2)
        sw(exchange, &state);
    start = now() - start;
    free(state.image);
    free(state.stack);
    return start;
}

/* --- Creating contexts --- */

enum { FRESH, POOLED };
enum { RESUME, FINISH };

static void back_task(struct pair *pair)
{
    pair->swap(&pair->task, &pair->main);
    abort();
}

static void finish_task(struct pair *pair)
{
    (void)pair;
}

static char *fresh_stack(void)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, guard + STACK_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

    MUST(map != MAP_FAILED && mprotect(map, guard, PROT_NONE) == 0);
    return map + guard;
}

static void drop_stack(char *stack)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);

    MUST(munmap(stack - guard, guard + STACK_SIZE) == 0);
}

double loop_create(int which, int stacks, int end, size_t n)
{
    const struct posix *peer = &peers[which];
    struct pair pair = {.swap = peer->swapcontext};
    void (*task)(struct pair *) = end == FINISH ? finish_task : back_task;
    char *pooled = fresh_stack();
    double start;

    rctx_sigmask(peer->policy);
    start = now();
    for (size_t i = 0; i < n; i++) {
        stack_t ours;
        char *stack = pooled;

        if (stacks == FRESH && which != GLIBC) {
            MUST(rctx_stack_alloc(&ours, STACK_SIZE) == 0);
            stack = ours.ss_sp;
        } else if (stacks == FRESH) {
            stack = fresh_stack();
        }
        make(peer, &pair.task, stack, (void (*)(void))task, &pair, &pair.main);
        MUST(pair.swap(&pair.main, &pair.task) == 0);
        if (stacks == FRESH && which != GLIBC)
            MUST(rctx_stack_free(&ours) == 0);
        else if (stacks == FRESH)
            drop_stack(stack);
    }
    start = now() - start;
    rctx_sigmask(0);
    drop_stack(pooled);
    return start;
}

static void fcontext_back(transfer_t transfer)
{
    jump_fcontext(transfer.from, NULL);
    abort();
}

double loop_create_fcontext(size_t n)
{
    char *stack = fresh_stack();
    double start = now();

    for (size_t i = 0; i < n; i++)
        jump_fcontext(make_fcontext(stack + STACK_SIZE, STACK_SIZE, fcontext_back), NULL);
    start = now() - start;
    drop_stack(stack);
    return start;
}

/* --- Contexts that share the stack --- */

/* What the frames that are copied must not hold. */
static struct {
    ucontext_t base, main, task[2];
    rctx_slice_t *main_slice, *slice[2];
    int (*swap)(ucontext_t *, const ucontext_t *, const ucontext_t *);
    size_t locals, left, len;
} shared;

/* Gives the running function `size` bytes of locals. */
#define TAKE_LOCALS(size)                                                                           \
    char locals[size];                                                                              \
    memset(locals, 1, size);                                                                        \
    asm volatile("" : : "r"(locals) : "memory")

/* Swaps with the other of its kind until none is left to do, then goes back to main. */
static void sliced_task(void *arg)
{
    ucontext_t *self = arg, *other = &shared.task[self == shared.task];
    int (*swap)(ucontext_t *, const ucontext_t *, const ucontext_t *) = shared.swap;
    TAKE_LOCALS(shared.locals);

    for (;;)
        MUST(swap(self, shared.left-- ? other : &shared.main, &shared.base) == 0);
}

/* Resumes the first task for `n` swaps. A frame of its own, so that main has one to be saved. */
static NOINLINE double sliced_run(ucontext_t *task, size_t n)
{
    double start = now();

    shared.left = n & ~(size_t)1; /* even: it is the first again that comes back */
    MUST(shared.swap(&shared.main, task, &shared.base) == 0);
    return now() - start;
}

/* How many swaps touch all the memory before the clock runs. */
#define WARM_UP 4

double loop_sliced(int masked, size_t locals, size_t n)
{
    double time;

    shared.swap = masked ? swapcontext_sliced : rctx_swapcontext_sliced;
    shared.locals = locals;
    rctx_getcontext(&shared.base);
    memset(&shared.main, 0, sizeof shared.main);
    for (int i = 0; i < 2; i++) {
        memset(&shared.task[i], 0, sizeof shared.task[i]);
        MUST(rctx_makecontext_sliced(&shared.task[i], &shared.base, sliced_task, &shared.task[i]) == 0);
    }
    sliced_run(&shared.task[0], WARM_UP);
    time = sliced_run(&shared.task[0], n);
    shared.len = rctx_slice_size(&shared.task[0]);
    rctx_freecontext(&shared.main);
    rctx_freecontext(&shared.task[0]);
    rctx_freecontext(&shared.task[1]);
    return time;
}

/* The bytes of a slice of a function with so many bytes of locals. */
size_t slice_length(size_t locals)
{
    loop_sliced(0, locals, 0);
    return shared.len;
}

static void compact_task(void *arg)
{
    size_t self = (size_t)arg;
    int (*swap)(rctx_slice_t **, rctx_slice_t *, const ucontext_t *) = rctx_slice_swap;
    TAKE_LOCALS(shared.locals);

    for (;;)
        MUST(swap(&shared.slice[self], shared.left-- ? shared.slice[!self] : shared.main_slice,
                  &shared.base) == 0);
}

static NOINLINE double compact_run(size_t n)
{
    double start = now();

    shared.left = n & ~(size_t)1;
    MUST(rctx_slice_swap(&shared.main_slice, shared.slice[0], &shared.base) == 0);
    return now() - start;
}

/* A frame of its own, as that of compact_run, for the slice that main is resumed from. */
static NOINLINE void compact_start(void (*task)(void *), size_t index)
{
    MUST(rctx_slice_start(&shared.main_slice, &shared.base, task, (void *)index) == 0);
}

double loop_compact(size_t locals, size_t n)
{
    double time;

    shared.locals = locals;
    rctx_getcontext(&shared.base);
    for (size_t i = 0; i < 2; i++) {
        shared.left = 0; /* back at once, suspended in its loop */
        compact_start(compact_task, i);
    }
    compact_run(WARM_UP);
    time = compact_run(n);
    rctx_slice_free(shared.main_slice);
    shared.main_slice = NULL;
    for (int i = 0; i < 2; i++) {
        rctx_slice_free(shared.slice[i]);
        shared.slice[i] = NULL;
    }
    return time;
}

/* What no slice can undercut: its bytes to the heap, and another's from the heap to the stack. */
double loop_memcpys(size_t len, size_t n)
{
    void *(*volatile load)(void *, const void *, size_t) = memcpy;
    void *(*copy)(void *, const void *, size_t) = load;
    char *heap[2] = {malloc(len), malloc(len)};
    char stack[len];
    double start;

    MUST(heap[0] && heap[1]);
    memset(stack, 1, len);
    memset(heap[0], 1, len);
    memset(heap[1], 1, len);
    start = now();
    for (size_t i = 0; i < n; i++) {
        copy(heap[i & 1], stack, len);
        copy(stack, heap[~i & 1], len);
    }
    start = now() - start;
    free(heap[0]);
    free(heap[1]);
    return start;
}

static void compact_back(void *arg)
{
    (void)arg;
    rctx_slice_swap(NULL, shared.main_slice, NULL);
    abort();
}

double loop_create_compact(size_t n)
{
    double start;

    rctx_getcontext(&shared.base);
    compact_start(compact_back, 0);
    start = now();
    for (size_t i = 0; i < n; i++)
        compact_start(compact_back, 0);
    start = now() - start;
    rctx_slice_free(shared.main_slice);
    shared.main_slice = NULL;
    return start;
}

static void sliced_finish(void *arg)
{
    (void)arg;
}

static NOINLINE void sliced_create(void)
{
    MUST(rctx_makecontext_sliced(&shared.task[0], &shared.base, sliced_finish, NULL) == 0);
    MUST(rctx_swapcontext_sliced(&shared.main, &shared.task[0], &shared.base) == 0);
}

double loop_create_sliced(size_t n)
{
    double start;

    rctx_getcontext(&shared.base);
    memset(&shared.main, 0, sizeof shared.main);
    memset(&shared.task[0], 0, sizeof shared.task[0]);
    shared.task[0].uc_link = &shared.main;
    /* The end of a context function keeps the mask of the context that it resumes; main has none. */
    sliced_create();
    start = now();
    for (size_t i = 0; i < n; i++)
        sliced_create();
    start = now() - start;
    rctx_freecontext(&shared.main);
    rctx_freecontext(&shared.task[0]);
    return start;
}

/* --- Many contexts, round robin --- */

static struct {
    rctx_slice_t **slices;
    size_t count;
} ring;

static void ring_task(void *arg)
{
    size_t self = (size_t)arg;
    size_t next = self + 1 < ring.count ? self + 1 : 0;

    for (;;)
        MUST(rctx_slice_swap(&ring.slices[self], shared.left-- ? ring.slices[next] : shared.main_slice,
                             &shared.base) == 0);
}

static NOINLINE double ring_run(rctx_slice_t *first, size_t n)
{
    double start = now();

    shared.left = n;
    MUST(rctx_slice_swap(&shared.main_slice, first, &shared.base) == 0);
    return now() - start;
}

static size_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t total, pages;

    MUST(file && fscanf(file, "%zu %zu", &total, &pages) == 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Suspends `count` contexts and swaps round their ring, `n` swaps a round. Stores the time of each round and
 * the size of a context's block, and returns the resident bytes of a context, its handle included. */
double loop_ring(size_t count, size_t n, size_t rounds, double *times, size_t *block)
{
    size_t before, bytes, at = 0;

    malloc_trim(0);
    before = resident();
    rctx_getcontext(&shared.base);
    ring.count = count;
    ring.slices = calloc(count, sizeof *ring.slices);
    MUST(ring.slices);
    for (size_t i = 0; i < count; i++) {
        shared.left = 0;
        compact_start(ring_task, i);
    }
    bytes = resident() - before;
    *block = malloc_usable_size(ring.slices[0]);
    for (size_t i = 0; i <= rounds; i++) {
        double time = ring_run(ring.slices[at], n);

        if (i) /* the first warms up */
            times[i - 1] = time;
        at = (at + n) % count;
    }
    for (size_t i = 0; i < count; i++)
        rctx_slice_free(ring.slices[i]);
    free(ring.slices);
    rctx_slice_free(shared.main_slice);
    shared.main_slice = NULL;
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
