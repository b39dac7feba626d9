/* Every function that writes a ucontext_t or a stack_t writes nothing around it, at the exact size of the C
 * library's type: each is given one that ends where a page ends which cannot be written, and one that begins where
 * such a page ends.
 *
 *     linkings: shared static
 *     compilers: gcc clang
 */
#define _GNU_SOURCE
#include "check.h"

#include <rctx.h>
#include <signal.h>
#include <sys/mman.h>

static size_t page;
static char *writable; /* some pages, between two that are not */
static size_t writable_size;
static ucontext_t base, home;
static char stack[64 * 1024], slice[64 * 1024];

static void nothing(void *unused)
{
    (void)unused;
}

static void come_back(void *ucp)
{
    CHECK(swapcontext(ucp, &home) == 0);
    CHECK(rctx_swapcontext(ucp, &home) == 0);
}

static void come_back_sliced(void *ucp)
{
    CHECK(swapcontext_sliced(ucp, &home, &base) == 0);
    CHECK(rctx_swapcontext_sliced(ucp, &home, &base) == 0);
}

static ucontext_t *volatile handler_target;

HANDLER static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    CHECK(rctx_copycontext(handler_target, context) == 0);
}

static __attribute__((noinline)) void check_at(ucontext_t *ucp)
{
    memset(ucp, 0xa5, sizeof *ucp);
    CHECK(getcontext(ucp) == 0);
    memset(ucp, 0xa5, sizeof *ucp);
    CHECK(rctx_getcontext(ucp) == 0);

    /* never captured, and captured */
    for (volatile int captured = 0; captured < 2; captured++) {
        if (captured)
            CHECK(getcontext(ucp) == 0);
        else
            memset(ucp, 0xa5, sizeof *ucp);
        ucp->uc_stack = (stack_t){.ss_sp = stack, .ss_size = sizeof stack};
        ucp->uc_link = &home;
        makecontext(ucp, (void (*)(void))come_back, 1, ucp);
        for (int turn = 0; turn < 3; turn++)
            CHECK(swapcontext(&home, ucp) == 0);
        rctx_makecontext(ucp, nothing, NULL);
        CHECK(rctx_swapcontext(&home, ucp) == 0);
    }

    /* the library's memory, and the program's */
    for (volatile int own = 0; own < 2; own++) {
        memset(ucp, 0, sizeof *ucp);
        if (own)
            ucp->uc_stack = (stack_t){.ss_sp = slice, .ss_size = sizeof slice};
        ucp->uc_link = &home;
        CHECK(rctx_makecontext_sliced(ucp, &base, come_back_sliced, ucp) == 0);
        for (int turn = 0; turn < 3; turn++)
            CHECK(swapcontext_sliced(&home, ucp, &base) == 0);
        rctx_freecontext(ucp);
        memset(ucp, 0, sizeof *ucp);
        CHECK(rctx_getcontext_sliced(ucp, &base) == 0);
        rctx_freecontext(ucp);
    }

    memset(ucp, 0, sizeof *ucp);
    CHECK(rctx_copycontext(ucp, &base) == 0);
    if (!emulated()) { /* qemu and valgrind make frames of their own size */
        memset(ucp, 0, sizeof *ucp);
        handler_target = ucp;
        CHECK(raise(SIGUSR1) == 0);
        rctx_freecontext(ucp);
    }
}

static void check_stack_at(stack_t *ss)
{
    CHECK(rctx_stack_alloc(ss, 5000) == 0);
    CHECK(rctx_stack_free(ss) == 0);
}

/* At both ends of the pages, and nothing else in them has changed. */
#define AT_BOTH_ENDS(type, check)                                                                 \
    for (int end = 0; end < 2; end++) {                                                           \
        type *it = (type *)(end ? writable + writable_size - sizeof(type) : writable);            \
                                                                                                  \
        memset(writable, 0xa5, writable_size);                                                    \
        check(it);                                                                                \
        for (char *byte = writable; byte < writable + writable_size; byte++)                      \
            if (byte < (char *)it || byte >= (char *)(it + 1))                                    \
                CHECK(*byte == (char)0xa5);                                                       \
    }

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

    page = (size_t)sysconf(_SC_PAGESIZE);
    writable_size = (2 * sizeof(ucontext_t) / page + 1) * page;
    writable = mmap(NULL, writable_size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(writable != MAP_FAILED);
    writable += page;
    CHECK(mprotect(writable, writable_size, PROT_READ | PROT_WRITE) == 0);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);

    CHECK(getcontext(&base) == 0);
    _Static_assert(sizeof(ucontext_t) % _Alignof(ucontext_t) == 0, "both ends are aligned");
    AT_BOTH_ENDS(ucontext_t, check_at)
    AT_BOTH_ENDS(stack_t, check_stack_at)
    rctx_freecontext(&home);
    END();
    return 0;
}
