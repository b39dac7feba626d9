/* swapcontext saves first: where the context that it resumes is the one that it saves into, the caller goes on with the
 * mask that it has, whatever mask was in there before. (glibc installs that one, but for arm and aarch64.)
 *
 *     linkings: shared static preload oracle track linked-track
 *     nooracle: x86_64 x86 s390x powerpc64 riscv64 loongarch64
 */
#include "check.h"

#include <signal.h>

static ucontext_t context;

static void block_only(int signal)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, signal);
    CHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
}

/* The mask that is in force, and the one that was saved, are of this signal alone. */
static void check_blocked(int signal)
{
    sigset_t set;

    CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0);
    for (int other = SIGUSR1; other <= SIGUSR2; other++) {
        CHECK(sigismember(&set, other) == (other == signal));
        CHECK(sigismember(&context.uc_sigmask, other) == (other == signal));
    }
}

static void swap_with_itself(void)
{
    ucontext_t *volatile same = &context; /* the header's pointers are `restrict` */

    CHECK(swapcontext(&context, same) == 0);
}

int main(void)
{
    block_only(SIGUSR1);
    swap_with_itself(); /* never captured */
    check_blocked(SIGUSR1);
    block_only(SIGUSR2);
    swap_with_itself(); /* captured, with another mask */
    check_blocked(SIGUSR2);
    swap_with_itself();
    check_blocked(SIGUSR2);
    sigaddset(&context.uc_sigmask, SIGUSR1);
    swap_with_itself(); /* edited */
    check_blocked(SIGUSR2);
    END();
}
