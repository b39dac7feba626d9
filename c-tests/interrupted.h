/* The driver of interrupted_<isa>.c: code that runs into an illegal instruction with every register poisoned is
 * resumed through the handler's context, in every way that there is, and finds every register as it was; the signal
 * mask and the alternate stack as well.
 *
 * The including file defines struct registers before, of whole 32-bit words without padding, and what follows.
 */
#ifndef INTERRUPTED_H
#define INTERRUPTED_H

#include "check.h"
#include "machine.h"

#include <pthread.h>
#include <rctx.h>
#include <signal.h>

/* Loads every register but the stack pointer and the thread's from `in`, runs into an illegal instruction of
 * TRAP_SIZE bytes, and stores the registers in `out`. */
void interrupt(const struct registers *in, struct registers *out);
/* Makes random words ones that the machine takes. */
static void make_legal(struct registers *registers);
/* Writes over the vector registers. */
static void scribble(void);
/* Sets to 0 what an emulator is known to lose. */
static void forgive(struct registers *registers);

enum { RETURN, SET, SET_BY_TWIN, SWAP, SWAP_BY_TWIN, ELSEWHERE, ELSEWHERE_BY_TWIN, COPY, COPY_BY_TWIN, WAYS };
static volatile int way;
static ucontext_t in_handler, elsewhere, copy;
static ucontext_t *interrupted;

static void resume_interrupted(void *unused)
{
    (void)unused;
    (way == ELSEWHERE_BY_TWIN || way == COPY_BY_TWIN ? rctx_setcontext : setcontext)(interrupted);
    CHECK(!"resumed");
}

/* A stack of its own, on which the interrupted code is resumed. */
static void prepare_elsewhere(void)
{
    static char stack[65536];

    prepare(&elsewhere, stack, sizeof stack, NULL);
    rctx_makecontext(&elsewhere, resume_interrupted, NULL);
}

HANDLER static void on_trap(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    interrupted = context;
    PROGRAM_COUNTER(*interrupted) += TRAP_SIZE;
    scribble();
    switch (way) {
    case RETURN:
        return;
    case SWAP:
        swapcontext(&in_handler, interrupted);
        break;
    case SWAP_BY_TWIN:
        rctx_swapcontext(&in_handler, interrupted);
        break;
    case ELSEWHERE:
        swapcontext(&in_handler, &elsewhere);
        break;
    case ELSEWHERE_BY_TWIN:
        rctx_swapcontext(&in_handler, &elsewhere);
        break;
    case COPY:
    case COPY_BY_TWIN:
        CHECK(rctx_copycontext(&copy, interrupted) == 0);
        memset(interrupted, 0x55, 256); /* the copy needs nothing of it; no kernel's is smaller */
        interrupted = &copy;
        resume_interrupted(NULL);
        break;
    case SET_BY_TWIN:
        rctx_setcontext(interrupted);
        break;
    default:
        setcontext(interrupted);
    }
    CHECK(!"resumed");
}

static void interrupt_and_compare(void)
{
    struct registers in, out;
    char what[64];

    for (size_t i = 0; i < sizeof in / sizeof(uint32_t); i++) {
        uint32_t word = (uint32_t)(next_random() >> 32);

        memcpy((uint32_t *)&in + i, &word, sizeof word);
    }
    make_legal(&in);
    memset(&out, 0, sizeof out);
    interrupt(&in, &out);
    forgive(&in);
    forgive(&out);
    snprintf(what, sizeof what, "way %d, struct registers", way);
    check_words(what, &in, &out, sizeof in);
}

/* Code that was interrupted in one thread is resumed by another, which keeps its own thread pointer. */
static ucontext_t of_thread;
static __thread int own;
static int *owned;

static void migrate(void *unused)
{
    (void)unused;
    interrupt_and_compare();
    setcontext(&of_thread);
    CHECK(!"resumed");
}

__attribute__((noinline)) static int *address_of_own(void)
{
    __asm__ volatile("");
    return &own;
}

static void *resume_there(void *unused)
{
    owned = address_of_own();
    CHECK(swapcontext(&of_thread, interrupted) == 0);
    CHECK(address_of_own() == owned);
    return unused;
}

/* Back on the first thread when it is interrupted. */
static ucontext_t home;

static void go_home(void *unused)
{
    (void)unused;
    setcontext(&home);
}

static void in_another_thread(void)
{
    static char stack[65536], second[65536];
    static ucontext_t task;
    pthread_t thread;

    way = ELSEWHERE;
    prepare(&task, stack, sizeof stack, NULL);
    rctx_makecontext(&task, migrate, NULL);
    prepare(&elsewhere, second, sizeof second, NULL);
    rctx_makecontext(&elsewhere, go_home, NULL);
    CHECK(swapcontext(&home, &task) == 0);
    CHECK(pthread_create(&thread, NULL, resume_there, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(owned != address_of_own());
}

int main(void)
{
    static char alternate[65536];
    const stack_t on = {.ss_sp = alternate, .ss_size = sizeof alternate}, off = {.ss_flags = SS_DISABLE};
    struct sigaction action = {.sa_sigaction = on_trap};
    stack_t found;
    sigset_t mask, now;

    seed_random();
    sigaddset(&action.sa_mask, SIGUSR2);
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    CHECK(sigprocmask(SIG_SETMASK, &mask, NULL) == 0);
    for (int i = 0; i < 3 * 2 * WAYS; i++) {
        const int alternately = i / WAYS % 2;

        way = i % WAYS;
        action.sa_flags = SA_SIGINFO | (alternately ? SA_ONSTACK : 0);
        CHECK(sigaltstack(alternately ? &on : &off, NULL) == 0);
        CHECK(sigaction(SIGILL, &action, NULL) == 0);
        prepare_elsewhere();
        interrupt_and_compare();
        CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
        CHECK(sigismember(&now, SIGHUP) && !sigismember(&now, SIGILL) && !sigismember(&now, SIGUSR2));
        CHECK(sigaltstack(NULL, &found) == 0);
        CHECK(alternately ? found.ss_sp == alternate && found.ss_flags == 0 : found.ss_flags == SS_DISABLE);
    }
    in_another_thread();
    rctx_freecontext(&copy);
    END();
}
#endif
