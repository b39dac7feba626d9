/* What the loops have in common. Each loop returns the nanoseconds that `n` operations took.
 *
 * Every peer is called in the same way, through a function pointer held in a register, because glibc's
 * functions and ours have the same names. The state of a run lies in the frame that drives it or on the heap,
 * so that two threads may run a loop at once.
 */
#ifndef LOOPS_H
#define LOOPS_H

#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define NOINLINE __attribute__((noinline))
#define MUST(condition)                                                                             \
    do {                                                                                            \
        if (__builtin_expect(!(condition), 0)) {                                                    \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                 \
            abort();                                                                                \
        }                                                                                           \
    } while (0)

/* --- rctx, by its own object (peers.c) --- */

typedef struct rctx_slice rctx_slice_t;
typedef void *hook_t(void *arg, int op, void *stacktop);

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

#define DECLARE(type, name, arguments) extern type(*name) arguments;
RCTX_FUNCTIONS(DECLARE)
#undef DECLARE

/* --- The four functions of POSIX, by everyone who has them (peers.c) --- */

struct posix {
    int (*getcontext)(ucontext_t *);
    int (*setcontext)(const ucontext_t *);
    void (*makecontext)(ucontext_t *, void (*)(void), int, ...);
    int (*swapcontext)(ucontext_t *, const ucontext_t *);
    int policy; /* of rctx_sigmask, set while it runs */
};

/* In the order of loops.rs. */
enum { GLIBC, POSIX, NONE, TWINS, TRACK, LIBUCONTEXT, PEERS };
extern struct posix posix_peers[PEERS];

/* --- Boost's fcontext (peers.c); null when it is absent --- */

typedef void *fcontext_t;
typedef struct {
    fcontext_t from;
    void *data;
} transfer_t;

extern transfer_t (*boost_jump)(fcontext_t, void *);
extern fcontext_t (*boost_make)(void *, size_t, void (*)(transfer_t));

/* --- Stacks, time and memory (common.c) --- */

#define STACK_SIZE ((size_t)64 * 1024)

/* A stack with a guard page, straight from the kernel. */
char *fresh_stack(void);
void drop_stack(char *stack);

/* Gives the running function `size` bytes of locals. */
#define TAKE_LOCALS(size)                                                                           \
    char locals[(size) + 1];                                                                        \
    memset(locals, 1, (size) + 1);                                                                  \
    asm volatile("" : : "r"(locals) : "memory")

double now(void);

/* The resident bytes of this process. */
size_t resident(void);

/* --- Many contexts, round robin --- */

/* How many contexts the cold rings have. */
#define COLD ((size_t)10000)

#endif
