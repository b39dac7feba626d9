/* What cannot be resumed is answered by -1 and errno: nothing is switched, and neither the context that would
 * have been saved into nor the signal mask has changed. The context that was refused can be made good.
 *
 *     linkings: shared static preload
 *     compilers: gcc clang
 *     valgrind: memcheck
 */
#include "check.h"

#include <signal.h>

static ucontext_t home, context;
static char stack[65536];
static int entered;
static void (*volatile no_function)(void);

static void enter(void)
{
    entered++;
}

static void check_swap_fails(const ucontext_t *ucp, int error)
{
    static ucontext_t oucp, before;
    sigset_t mask, mask_before;

    memset(&oucp, 0xa5, sizeof oucp);
    before = oucp;
    CHECK(sigprocmask(SIG_SETMASK, NULL, &mask_before) == 0);
    CHECK_FAILS(swapcontext(&oucp, ucp), error);
    CHECK(memcmp(&oucp, &before, sizeof oucp) == 0);
    CHECK_FAILS(setcontext(ucp), error);
    CHECK(sigprocmask(SIG_SETMASK, NULL, &mask) == 0);
    for (int signal = 1; signal < 32; signal++)
        CHECK(sigismember(&mask, signal) == sigismember(&mask_before, signal));
    CHECK(entered == 0);
}

/* The same context with a good stack and function. */
static void check_repaired(void)
{
    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, enter, 0);
    CHECK(swapcontext(&home, &context) == 0);
    CHECK(entered == 1);
    entered = 0;
}

static void check_make_fails(void *low, size_t size, void (*function)(void), int argc, int error)
{
    prepare(&context, stack, sizeof stack, &home);
    context.uc_stack.ss_sp = low;
    context.uc_stack.ss_size = size;
    sigaddset(&context.uc_sigmask, SIGUSR1);
    makecontext(&context, function, argc, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    check_swap_fails(&context, error);
    check_repaired();
}

int main(void)
{
    ucontext_t *volatile null = NULL;
    static const ucontext_t zeroed;

    CHECK_FAILS(getcontext(null), EFAULT);
    check_swap_fails(null, EFAULT);
    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, enter, 0);
    CHECK_FAILS(swapcontext(null, &context), EFAULT);
    CHECK_FAILS(swapcontext(null, null), EFAULT);
    errno = 0;
    makecontext(null, enter, 0);
    CHECK(errno == EFAULT);
    CHECK(swapcontext(&home, &context) == 0); /* is as it was */
    CHECK(entered == 1);
    entered = 0;

    check_swap_fails(&zeroed, EINVAL);
    check_make_fails(NULL, sizeof stack, enter, 0, EINVAL);
    check_make_fails(NULL, 0, enter, 0, EINVAL);
    check_make_fails(stack, 0, enter, 0, EINVAL);
    check_make_fails(stack, 1, enter, 0, ENOMEM);
    check_make_fails(stack, 7, enter, 0, ENOMEM);
    check_make_fails(stack, 64, enter, 1000, ENOMEM);
    check_make_fails(stack, sizeof stack, enter, INT32_MAX, ENOMEM);
    check_make_fails(stack, sizeof stack, no_function, 0, EINVAL);
    check_make_fails(stack, sizeof stack, enter, -1, EINVAL);
    check_make_fails(stack, sizeof stack, enter, INT32_MIN, EINVAL);
    END();
    return 0;
}
