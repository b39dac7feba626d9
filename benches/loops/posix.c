/* The four functions of POSIX, as glibc, rctx and libucontext have them: contexts with a stack of their own. */
#include "loops.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

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

static void make(const struct posix *peer, ucontext_t *ucp, char *stack, size_t size, void (*func)(void),
                 void *arg, ucontext_t *link)
{
    MUST(peer->getcontext(ucp) == 0);
    ucp->uc_stack.ss_sp = stack;
    ucp->uc_stack.ss_size = size;
    ucp->uc_link = link;
    peer->makecontext(ucp, func, 1, arg);
}

double posix_swap(int which, size_t n)
{
    const struct posix *peer = &posix_peers[which];
    int (*swap)(ucontext_t *, const ucontext_t *) = peer->swapcontext;
    char *stack = malloc(STACK_SIZE);
    struct pair pair = {.swap = swap};
    double start;

    MUST(stack);
    rctx_sigmask(peer->policy);
    make(peer, &pair.task, stack, STACK_SIZE, (void (*)(void))pair_task, &pair, NULL);
    MUST(swap(&pair.main, &pair.task) == 0);
    start = now();
    for (size_t i = 0; i < n; i += 2)
        MUST(swap(&pair.main, &pair.task) == 0);
    start = now() - start;
    rctx_sigmask(0);
    free(stack);
    return start;
}

double posix_getcontext(int which, size_t n)
{
    const struct posix *peer = &posix_peers[which];
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

double posix_setcontext(int which, size_t n)
{
    ucontext_t context;
    double start;

    rctx_sigmask(posix_peers[which].policy);
    resumes_left = n;
    start = now();
    resume_again(&posix_peers[which], &context);
    start = now() - start;
    rctx_sigmask(0);
    return start;
}

/* The system call that keeps the mask, alone. */
double loop_sigprocmask(size_t n)
{
    uint64_t old, new = 0;
    double start;

    /* The mask that it installs is the one in force, as between two contexts with the same mask. */
    MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &new, sizeof new) == 0);
    start = now();
    for (size_t i = 0; i < n; i++) {
#ifdef __x86_64__
        long result = SYS_rt_sigprocmask;
        register size_t size asm("r10") = sizeof new;

        asm volatile("syscall"
                     : "+a"(result)
                     : "D"(SIG_SETMASK), "S"(&new), "d"(&old), "r"(size)
                     : "rcx", "r11", "memory");
#else
        long result = syscall(SYS_rt_sigprocmask, SIG_SETMASK, &new, &old, sizeof new);
#endif
        MUST(result == 0);
    }
    return now() - start;
}

/* --- Creating contexts --- */

static void back_task(struct pair *pair)
{
    pair->swap(&pair->task, &pair->main);
    abort();
}

static void finish_task(struct pair *pair)
{
    (void)pair;
}

/* Where the stack of a new context comes from, and how it gives control back, in the order of loops.rs. */
enum { FRESH, RCTX_STACK, KEPT };
enum { SWAP, FINISH };

double posix_create(int which, int stacks, int end, size_t n)
{
    const struct posix *peer = &posix_peers[which];
    struct pair pair = {.swap = peer->swapcontext};
    void (*task)(struct pair *) = end == FINISH ? finish_task : back_task;
    char *kept = fresh_stack();
    double start;

    rctx_sigmask(peer->policy);
    start = now();
    for (size_t i = 0; i < n; i++) {
        stack_t ours;
        char *stack = kept;

        if (stacks == RCTX_STACK) {
            MUST(rctx_stack_alloc(&ours, STACK_SIZE) == 0);
            stack = ours.ss_sp;
        } else if (stacks == FRESH) {
            stack = fresh_stack();
        }
        make(peer, &pair.task, stack, STACK_SIZE, (void (*)(void))task, &pair, &pair.main);
        MUST(pair.swap(&pair.main, &pair.task) == 0);
        if (stacks == RCTX_STACK)
            MUST(rctx_stack_free(&ours) == 0);
        else if (stacks == FRESH)
            drop_stack(stack);
    }
    start = now() - start;
    rctx_sigmask(0);
    drop_stack(kept);
    return start;
}

/* Allocating and releasing alone. */
double loop_stack_alloc(size_t n)
{
    stack_t stack;
    double start = now();

    for (size_t i = 0; i < n; i++)
        MUST(rctx_stack_alloc(&stack, STACK_SIZE) == 0 && rctx_stack_free(&stack) == 0);
    return now() - start;
}

/* --- Many contexts, round robin --- */

#define COLD_STACK ((size_t)16 * 1024)

struct wheel;

struct spoke {
    struct wheel *wheel;
    ucontext_t context;
};

struct wheel {
    int (*swap)(ucontext_t *, const ucontext_t *);
    size_t left, at;
    ucontext_t main;
    struct spoke spokes[COLD];
};

static void spoke_task(struct spoke *spoke)
{
    struct wheel *wheel = spoke->wheel;
    struct spoke *next = spoke + 1 < wheel->spokes + COLD ? spoke + 1 : wheel->spokes;
    int (*swap)(ucontext_t *, const ucontext_t *) = wheel->swap;

    for (;;)
        MUST(swap(&spoke->context, wheel->left-- ? &next->context : &wheel->main) == 0);
}

static double wheel_run(struct wheel *wheel, size_t n)
{
    double start = now();

    wheel->left = n;
    MUST(wheel->swap(&wheel->main, &wheel->spokes[wheel->at].context) == 0);
    wheel->at = (wheel->at + n) % COLD;
    return now() - start;
}

static struct wheel *wheel_new(const struct posix *peer)
{
    struct wheel *wheel = calloc(1, sizeof *wheel);
    char *stacks = mmap(NULL, COLD * COLD_STACK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    MUST(wheel && stacks != MAP_FAILED);
    wheel->swap = peer->swapcontext;
    for (size_t i = 0; i < COLD; i++) {
        struct spoke *spoke = &wheel->spokes[i];

        spoke->wheel = wheel;
        make(peer, &spoke->context, stacks + i * COLD_STACK, COLD_STACK, (void (*)(void))spoke_task, spoke,
             NULL);
    }
    wheel_run(wheel, COLD);
    return wheel;
}

/* Its contexts are made at the first call, and kept. */
double posix_cold(int which, size_t n)
{
    static struct wheel *wheels[PEERS];
    double time;

    rctx_sigmask(posix_peers[which].policy);
    if (!wheels[which])
        wheels[which] = wheel_new(&posix_peers[which]);
    time = wheel_run(wheels[which], n);
    rctx_sigmask(0);
    return time;
}

/* The resident bytes of a context on a guarded stack, suspended at once. */
double posix_resident(int which, size_t count)
{
    struct pair *pairs = calloc(count, sizeof *pairs);
    size_t before = resident(), bytes;

    MUST(pairs);
    for (size_t i = 0; i < count; i++) {
        struct pair *pair = &pairs[i];

        pair->swap = posix_peers[which].swapcontext;
        make(&posix_peers[which], &pair->task, fresh_stack(), STACK_SIZE, (void (*)(void))back_task, pair,
             NULL);
        MUST(pair->swap(&pair->main, &pair->task) == 0);
    }
    bytes = resident() - before;
    for (size_t i = 0; i < count; i++)
        drop_stack(pairs[i].task.uc_stack.ss_sp);
    free(pairs);
    /* The context that is suspended is one of the two that a pair has. */
    return (double)bytes / (double)count - sizeof(ucontext_t);
}
