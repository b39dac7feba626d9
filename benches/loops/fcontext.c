/* Boost's fcontext. */
#include "loops.h"

#include <sys/mman.h>

static void swap_task(transfer_t transfer)
{
    transfer_t (*jump)(fcontext_t, void *) = boost_jump;

    for (;;)
        transfer = jump(transfer.from, NULL);
}

double fcontext_swap(size_t locals, size_t n)
{
    transfer_t (*jump)(fcontext_t, void *) = boost_jump;
    char *stack = malloc(STACK_SIZE);
    transfer_t transfer;
    double start;

    (void)locals;
    MUST(stack);
    transfer = jump(boost_make(stack + STACK_SIZE, STACK_SIZE, swap_task), NULL);
    start = now();
    for (size_t i = 0; i < n; i += 2)
        transfer = jump(transfer.from, NULL);
    start = now() - start;
    free(stack);
    return start;
}

static void back_task(transfer_t transfer)
{
    boost_jump(transfer.from, NULL);
    abort();
}

double fcontext_create(size_t locals, size_t n)
{
    char *stack = fresh_stack();
    double start = now();

    (void)locals;
    for (size_t i = 0; i < n; i++)
        boost_jump(boost_make(stack + STACK_SIZE, STACK_SIZE, back_task), NULL);
    start = now() - start;
    drop_stack(stack);
    return start;
}

/* --- Many contexts, round robin --- */

#define COLD_STACK ((size_t)16 * 1024)

static fcontext_t *wheel; /* COLD suspended contexts, and main's */
static size_t left;

/* Whoever is resumed keeps the context of the one that it comes from, whose place it is given. */
static void spoke_task(transfer_t transfer)
{
    fcontext_t *self = transfer.data, *next = self + 1 < wheel + COLD ? self + 1 : wheel;
    transfer_t (*jump)(fcontext_t, void *) = boost_jump;

    transfer = jump(transfer.from, NULL);
    for (;;) {
        *(fcontext_t *)transfer.data = transfer.from;
        transfer = jump(left-- ? *next : wheel[COLD], self);
    }
}

double fcontext_cold(size_t locals, size_t n)
{
    static size_t at;
    transfer_t last;
    double start;

    (void)locals;
    if (!wheel) {
        char *stacks = mmap(NULL, COLD * COLD_STACK, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        wheel = calloc(COLD + 1, sizeof *wheel);
        MUST(wheel && stacks != MAP_FAILED);
        for (size_t i = 0; i < COLD; i++)
            wheel[i] = boost_jump(
                boost_make(stacks + (i + 1) * COLD_STACK, COLD_STACK, spoke_task), &wheel[i]).from;
    }
    start = now();
    left = n;
    last = boost_jump(wheel[at], &wheel[COLD]);
    *(fcontext_t *)last.data = last.from;
    at = (at + n) % COLD;
    return now() - start;
}
