/* rctx_stack_alloc: a stack that begins and ends at pages, has a guard page below and takes memory as it is
 * touched; its errors; its release.
 *
 *     linkings: shared static
 *     compilers: gcc clang
 */
#define _GNU_SOURCE
#include "check.h"

#include <rctx.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static ucontext_t home, context;
static int entered;

static void enter(void)
{
    entered++;
}

/* In a child, which a fault ends: whether the byte can be written. */
static int writable(volatile char *byte)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        *byte = 1;
        _Exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) || WTERMSIG(status) == SIGSEGV);
    return WIFEXITED(status);
}

__attribute__((noinline)) static int overflow(int depth)
{
    volatile char frame[256];

    frame[0] = (char)depth;
    return depth < INT32_MAX ? overflow(depth + 1) + frame[0] : 0;
}

static void overflow_forever(void)
{
    overflow(0);
}

static void check_errors(void)
{
    stack_t stack, before;
    char *local = (char *)&stack;

    memset(&stack, 0xa5, sizeof stack);
    before = stack;
    CHECK_FAILS(rctx_stack_alloc(NULL, 4096), EFAULT);
    CHECK_FAILS(rctx_stack_alloc(&stack, 0), EINVAL);
    CHECK_FAILS(rctx_stack_alloc(&stack, SIZE_MAX), ENOMEM);
    CHECK_FAILS(rctx_stack_alloc(&stack, SIZE_MAX - (1 << 20)), ENOMEM);
    CHECK(memcmp(&stack, &before, sizeof stack) == 0);

    CHECK_FAILS(rctx_stack_free(NULL), EFAULT);
    memset(&stack, 0, sizeof stack);
    CHECK_FAILS(rctx_stack_free(&stack), EINVAL);
    stack.ss_sp = local;
    stack.ss_size = 100;
    CHECK_FAILS(rctx_stack_free(&stack), EINVAL);
}

int main(void)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, 65536, 1 << 20};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    stack_t stack;

    check_errors();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK(rctx_stack_alloc(&stack, sizes[i]) == 0);
        char *low = stack.ss_sp;
        CHECK(stack.ss_flags == 0);
        CHECK(stack.ss_size >= sizes[i] && stack.ss_size < sizes[i] + page);
        CHECK((uintptr_t)low % page == 0 && stack.ss_size % page == 0);
        CHECK(writable(low) && writable(low + stack.ss_size - 1));
        CHECK(!writable(low - 1) && !writable(low - page));
        CHECK(rctx_stack_free(&stack) == 0);
        CHECK(stack.ss_sp == NULL && stack.ss_size == 0);
        CHECK(!writable(low));
        CHECK_FAILS(rctx_stack_free(&stack), EINVAL);
    }

    CHECK(rctx_stack_alloc(&stack, (size_t)1 << 30) == 0);
    unsigned char resident[4 * 64]; /* qemu-loongarch64 7.2 answers for the host's pages: 4 in one of the guest's */
    CHECK(mincore((char *)stack.ss_sp + stack.ss_size - 64 * page, 64 * page, resident) == 0);
    for (int i = 0; i < 64; i++)
        CHECK(!(resident[i] & 1));
    CHECK(rctx_stack_free(&stack) == 0);

    CHECK(rctx_stack_alloc(&stack, 65536) == 0);
    prepare(&context, stack.ss_sp, stack.ss_size, &home);
    makecontext(&context, enter, 0);
    CHECK(swapcontext(&home, &context) == 0);
    CHECK(entered == 1);
    pid_t child = fork();
    int status;
    if (child == 0) {
        makecontext(&context, overflow_forever, 0);
        setcontext(&context);
        _Exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK(rctx_stack_free(&stack) == 0);
    END();
    return 0;
}
