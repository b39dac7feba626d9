/* The signal mask before, inside and after a context; set from outside through uc_sigmask, changed inside,
 * and a pending signal that a switch lets through.
 *
 *     linkings: shared static preload oracle track
 *     compilers: gcc clang
 *     valgrind: memcheck
 */
#include "check.h"

#include <signal.h>

static ucontext_t home, context;
static char stack[65536];
static volatile sig_atomic_t handled;

HANDLER static void handle(int signal)
{
    handled += signal;
}

/* Each set is a string of initials: U for SIGUSR1, V for SIGUSR2, H for SIGHUP, T for SIGTERM. */
static const struct {
    char letter;
    int signal;
} signals[] = {{'U', SIGUSR1}, {'V', SIGUSR2}, {'H', SIGHUP}, {'T', SIGTERM}};

static void set_mask(const char *letters)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (strchr(letters, signals[i].letter))
            sigaddset(&set, signals[i].signal);
    CHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
}

static void check_set(const sigset_t *set, const char *letters)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        CHECK(sigismember(set, signals[i].signal) == (strchr(letters, signals[i].letter) != NULL));
}

static void check_mask(const char *letters)
{
    sigset_t set;

    CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0);
    check_set(&set, letters);
}

static void inside(void)
{
    check_mask("V");
    CHECK(handled == SIGUSR1);
    set_mask("VT");
    CHECK(swapcontext(&context, &home) == 0);
    check_mask("VT");
    set_mask("UVHT");
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle};

    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    set_mask("U");
    CHECK(raise(SIGUSR1) == 0);
    prepare(&context, stack, sizeof stack, &home);
    check_set(&context.uc_sigmask, "U");
    makecontext(&context, inside, 0);
    sigaddset(&context.uc_sigmask, SIGUSR2);
    sigdelset(&context.uc_sigmask, SIGUSR1);
    set_mask("UH");
    CHECK(handled == 0);

    CHECK(swapcontext(&home, &context) == 0);
    check_mask("UH");
    check_set(&home.uc_sigmask, "UH");
    check_set(&context.uc_sigmask, "VT");

    set_mask("");
    CHECK(swapcontext(&home, &context) == 0); /* comes back through uc_link */
    check_mask("");

    static volatile int returned;
    set_mask("HT");
    CHECK(getcontext(&home) == 0);
    check_mask("HT");
    if (!returned) {
        returned = 1;
        set_mask("V");
        setcontext(&home);
        CHECK(!"setcontext returned");
    }
    END();
    return 0;
}
