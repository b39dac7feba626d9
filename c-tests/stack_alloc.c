/* rctx_stack_alloc: a stack that begins and ends at pages, has a guard page below and takes memory as it is
 * touched; its errors; its release; released stacks that are given out again.
 *
 *     linkings: shared static
 *     compilers: gcc clang
 *     flags: -pthread
 */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <rctx.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
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

static int mapped(void *low)
{
    unsigned char resident[64];

    errno = 0;
    return mincore(low, 1, resident) == 0 || errno != ENOMEM;
}

static void check_freed(stack_t *stack)
{
    /* All the addresses of a 32-bit program are mapped by its emulator. */
    if (emulated() && sizeof(void *) == 4 && !mapped(stack->ss_sp))
        return;
    CHECK_FAILS(rctx_stack_free(stack), EINVAL);
}

/* A released stack is given out again for the same size only, with its guard; what a second release of it says. */
static void check_reuse(size_t page)
{
    stack_t stack, other, copy;

    CHECK(rctx_stack_alloc(&stack, 5 * page) == 0);
    copy = stack;
    memset(stack.ss_sp, 1, stack.ss_size);
    errno = 77;
    CHECK(rctx_stack_free(&stack) == 0);
    CHECK(errno == 77);
    stack = copy;
    CHECK_FAILS(rctx_stack_free(&stack), EINVAL);
    CHECK(stack.ss_sp == copy.ss_sp && stack.ss_size == copy.ss_size);

    CHECK(rctx_stack_alloc(&other, 4 * page) == 0);
    CHECK(other.ss_sp != copy.ss_sp);
    CHECK(rctx_stack_alloc(&stack, 5 * page - 100) == 0);
    CHECK(stack.ss_sp == copy.ss_sp && stack.ss_size == copy.ss_size && stack.ss_flags == 0);
    CHECK(writable(stack.ss_sp) && !writable((char *)stack.ss_sp - 1));
    CHECK(rctx_stack_free(&stack) == 0 && rctx_stack_free(&other) == 0);

    CHECK(rctx_stack_alloc(&stack, 2 << 20) == 0); /* too large to be kept */
    copy = stack;
    CHECK(rctx_stack_free(&stack) == 0);
    CHECK(!mapped(copy.ss_sp));
    check_freed(&copy);

    CHECK(rctx_stack_alloc(&stack, 1 << 20) == 0);
    copy = stack;
    if (!emulated() && mlock(stack.ss_sp, page) == 0) { /* its memory cannot be handed back: not kept */
        errno = 77;
        CHECK(rctx_stack_free(&stack) == 0);
        CHECK(errno == 77);
        CHECK(!mapped(copy.ss_sp));
    }
}

enum { MANY = 200, KEPT = 64, SIZE = 256 << 10 };

/* However many are released, KEPT stay; the memory of a deep one goes back but for 64 KiB. */
static void check_bounds(size_t page)
{
    static stack_t stacks[MANY], copies[MANY];
    static unsigned char resident[SIZE / 1024];
    size_t kept = 0, full = 0;

    for (int i = 0; i < MANY; i++) {
        CHECK(rctx_stack_alloc(&stacks[i], SIZE) == 0);
        memset(stacks[i].ss_sp, 1, SIZE);
        copies[i] = stacks[i];
    }
    for (int i = 0; i < MANY; i++)
        CHECK(rctx_stack_free(&stacks[i]) == 0);
    for (int i = 0; i < MANY; i++) {
        kept += (size_t)mapped(copies[i].ss_sp);
        CHECK(!mapped(copies[i].ss_sp) || !mapped((char *)copies[i].ss_sp - page) ||
              !writable((char *)copies[i].ss_sp - 1));
        check_freed(&copies[i]);
    }
    CHECK(kept > 0 && kept <= KEPT);
    for (int i = 0; i < MANY; i++) {
        if (!mapped(copies[i].ss_sp))
            continue;
        CHECK(mincore(copies[i].ss_sp, SIZE, resident) == 0);
        for (size_t j = 0; j < SIZE / page; j++)
            full += resident[j] & 1;
    }
    CHECK(emulated() || full <= KEPT * ((64 << 10) / page)); /* qemu hands nothing back */
}

static int count_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int lines = 0;

    CHECK(maps);
    for (int c; (c = getc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

enum { THREADS = 4, HELD = 8, ROUNDS = 10000 };

/* Marks both ends of a few stacks, and finds every mark again: nobody else was given one of them. */
static void hold_stacks(int rounds, char mark)
{
    stack_t held[HELD];

    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < HELD; i++) {
            CHECK(rctx_stack_alloc(&held[i], 16384u << (i & 1)) == 0);
            *(volatile char *)held[i].ss_sp = mark;
            ((volatile char *)held[i].ss_sp)[held[i].ss_size - 1] = mark;
        }
        for (int i = 0; i < HELD; i++) {
            CHECK(*(volatile char *)held[i].ss_sp == mark);
            CHECK(((volatile char *)held[i].ss_sp)[held[i].ss_size - 1] == mark);
            CHECK(rctx_stack_free(&held[i]) == 0);
        }
    }
}

static volatile sig_atomic_t signals;

static void *hold_in_thread(void *mark)
{
    do
        hold_stacks(emulated() ? ROUNDS / 50 : ROUNDS, (char)(uintptr_t)mark);
    while (!signals);
    return NULL;
}

static void hold_in_handler(int signal)
{
    int saved_errno = errno;

    (void)signal;
    hold_stacks(1, 'h');
    signals++;
    errno = saved_errno;
}

/* Threads at once, a signal handler amid one, and children that fork leaves with whatever state the pool was in. No
 * stack is given out twice, and none is lost. */
static void check_sharing(void)
{
    struct itimerval timer = {{0, 200}, {0, 200}};
    pthread_t threads[THREADS];
    int status, before = count_maps();
    sigset_t alarm;

    CHECK(signal(SIGALRM, hold_in_handler) != SIG_ERR);
    signals = loses_thread();
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, hold_in_thread, (void *)('a' + i)) == 0);
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    CHECK(pthread_sigmask(SIG_BLOCK, &alarm, NULL) == 0); /* for the threads */
    CHECK(signals || setitimer(ITIMER_REAL, &timer, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();

        if (child == 0) {
            hold_stacks(10, 'c');
            _Exit(0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    memset(&timer, 0, sizeof timer);
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    /* Each kept stack and each cached thread stack is two maps. */
    CHECK(count_maps() <= before + 2 * KEPT + 4 * THREADS);
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

    check_reuse(page);
    check_bounds(page);
    check_sharing();
    END();
    return 0;
}
