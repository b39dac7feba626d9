/* Without any memory to be had: the functions of POSIX, their twins, rctx_copycontext of a context without a slice,
 * rctx_switch and rctx_call ask for none, and rctx_stack_alloc says so and leaves nothing behind, whichever of its
 * two system calls is refused.
 *
 *     native: yes
 *     linkings: shared static
 */
#include "sliced_malloc.h"

#include <rctx.h>
#include <sys/mman.h>
#include <sys/resource.h>

static ucontext_t home, context, copy;
static int entered;

static void enter(int a, int b, int c, int d, int e, int f, int g, int h)
{
    CHECK(a + b + c + d + e + f + g + h == 36);
    entered++;
    CHECK(swapcontext(&context, &home) == 0);
    entered++;
    CHECK(rctx_swapcontext(&context, &home) == 0);
    entered++;
}

static void *hook(void *arg, int op, void *stacktop)
{
    (void)op;
    (void)arg;
    return stacktop;
}

static void use_all(void)
{
    static char stack[64 * 1024];
    volatile int returns = 0;

    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, (void (*)(void))enter, 8, 1, 2, 3, 4, 5, 6, 7, 8);
    CHECK(swapcontext(&home, &context) == 0);
    CHECK(rctx_copycontext(&copy, &context) == 0);
    CHECK(swapcontext(&home, &copy) == 0);
    CHECK(swapcontext(&home, &context) == 0);
    CHECK(entered == 3);
    CHECK(getcontext(&home) == 0);
    if (returns++ == 0)
        setcontext(&home);
    CHECK(rctx_getcontext(&home) == 0);
    if (returns++ < 4)
        rctx_setcontext(&home);
    CHECK(rctx_switch(hook, NULL) != NULL);
    CHECK(rctx_call(hook, NULL, stack + sizeof stack) != NULL);
    CHECK(rctx_sigmask(RCTX_SIGMASK_NONE) == RCTX_SIGMASK_POSIX);
    CHECK(rctx_sigmask(RCTX_SIGMASK_POSIX) == RCTX_SIGMASK_NONE);
}

/* Pages of the address space in use. */
static long mapped_pages(void)
{
    static char text[64];
    FILE *file;
    long pages;

    /* not stdio's own buffer */
    file = fopen("/proc/self/statm", "r");
    CHECK(file && setvbuf(file, text, _IOFBF, sizeof text) == 0);
    CHECK(fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return pages;
}

/* Larger than what the library keeps for the next call. */
static void check_stack_alloc(int resource)
{
    struct rlimit before, none;
    stack_t stack, untouched;
    long pages = mapped_pages();

    memset(&stack, 0xa5, sizeof stack);
    untouched = stack;
    CHECK(getrlimit(resource, &before) == 0);
    none = before;
    none.rlim_cur = 1; /* the kernel takes 0 for no limit of RLIMIT_DATA */
    CHECK(setrlimit(resource, &none) == 0);
    errno = 0;
    int status = rctx_stack_alloc(&stack, 2 << 20), error = errno;
    CHECK(setrlimit(resource, &before) == 0);
    CHECK(status == -1 && error == ENOMEM);
    CHECK(memcmp(&stack, &untouched, sizeof stack) == 0);
    CHECK(mapped_pages() == pages);
    CHECK(rctx_stack_alloc(&stack, 2 << 20) == 0);
    CHECK(rctx_stack_free(&stack) == 0);
    CHECK(mapped_pages() == pages);
}

int main(void)
{
    check_stack_alloc(RLIMIT_AS);   /* mmap is refused */
    check_stack_alloc(RLIMIT_DATA); /* mprotect is: memory that cannot be written does not count */
    fail_on = 1;
    fail_at = 0;
    use_all();
    CHECK(failures == 0);
    fail_at = -1;
    END();
    return 0;
}
