/* Every register there is, in code that a trap interrupts and that its handler's context resumes, in another thread
 * as well.
 *
 *     arch: riscv64
 *     flags: -pthread
 */
#include "check.h"

#include <pthread.h>
#include <rctx.h>
#include <signal.h>

#define STACK 65536

/* Poisons every register but sp, gp and tp, and the rounding mode, with values counted up from a seed, runs into an
 * illegal instruction, and stores what these registers hold then. */
enum { EVERY = 28 + 32 };
void trap_poisoned(uint64_t seed, uint64_t *report);
asm(".macro each_integer do\n"
    ".irp r, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11\n \\do \\r\n .endr\n"
    ".endm\n"
    ".macro each_float do\n"
    ".irp r, fs0, fs1, fs2, fs3, fs4, fs5, fs6, fs7, fs8, fs9, fs10, fs11\n \\do \\r\n .endr\n"
    ".endm\n"
    ".macro each_other_integer do\n" /* but the three that the caller of the macro works with */
    ".irp r, ra, t0, t3, t4, t5, t6, a0, a1, a2, a3, a4, a5, a6, a7\n \\do \\r\n .endr\n"
    ".endm\n"
    ".macro each_other_float do\n"
    ".irp r, ft0, ft1, ft2, ft3, ft4, ft5, ft6, ft7, ft8, ft9, ft10, ft11\n \\do \\r\n .endr\n"
    ".irp r, fa0, fa1, fa2, fa3, fa4, fa5, fa6, fa7\n \\do \\r\n .endr\n"
    ".endm\n"
    ".macro put r\n sd \\r, 0(t1)\n addi t1, t1, 8\n .endm\n"
    ".macro put_f r\n fsd \\r, 0(t1)\n addi t1, t1, 8\n .endm\n"
    ".macro get r\n ld \\r, 0(t1)\n addi t1, t1, 8\n .endm\n"
    ".macro get_f r\n fld \\r, 0(t1)\n addi t1, t1, 8\n .endm\n"
    ".macro poison r\n mv \\r, t2\n addi t2, t2, 1\n .endm\n"
    ".macro poison_f r\n fmv.d.x \\r, t2\n addi t2, t2, 1\n .endm\n"
    ".macro enter report\n" /* 0: ra, 8: report, 16: fcsr, 32: the registers */
    " addi sp, sp, -240\n"
    " sd ra, 0(sp)\n"
    " sd \\report, 8(sp)\n"
    " frcsr t1\n"
    " sd t1, 16(sp)\n"
    " addi t1, sp, 32\n"
    " each_integer put\n"
    " each_float put_f\n"
    ".endm\n"
    ".macro leave\n"
    " addi t1, sp, 32\n"
    " each_integer get\n"
    " each_float get_f\n"
    " ld t1, 16(sp)\n"
    " fscsr t1\n"
    " ld ra, 0(sp)\n"
    " addi sp, sp, 240\n"
    " ret\n"
    ".endm\n"
    ".text\n"
    ".globl trap_poisoned\n"
    "trap_poisoned:\n"
    " enter a1\n"
    " andi t1, a0, 3\n"
    " fsrm t1\n"
    " mv t2, a0\n"
    " each_integer poison\n"
    " each_float poison_f\n"
    " each_other_integer poison\n"
    " each_other_float poison_f\n"
    " addi t1, t2, 1\n" /* t2, then t1, go on counting */
    ".option push\n"
    ".option norvc\n"
    " unimp\n"
    ".option pop\n"
    " addi sp, sp, -16\n"
    " sd t1, 0(sp)\n"
    " ld t1, 24(sp)\n"
    " each_integer put\n"
    " each_float put_f\n"
    " each_other_integer put\n"
    " each_other_float put_f\n"
    " put t2\n"
    " ld t2, 0(sp)\n"
    " put t2\n"
    " frrm t2\n"
    " put t2\n"
    " put tp\n"
    " addi sp, sp, 16\n"
    " leave\n");

static void check_report(const uint64_t *report, int count, uint64_t seed)
{
    for (int i = 0; i < count; i++)
        CHECK(report[i] == seed + i);
    CHECK(report[count] == (seed & 3));
}

static ucontext_t main_context, other_context;
static char stack[STACK], second_stack[STACK];

/* Code that a trap interrupts, resumed through the handler's context in every way. */
enum { RETURN, SET, COPY, SWAP, RESUMES };
static int resume;
static ucontext_t *interrupted, copied, from_handler;

static void resume_interrupted(void *arg)
{
    (void)arg;
    setcontext(interrupted);
    CHECK(!"resumed");
}

static void handler(int sig, siginfo_t *info, void *context)
{
    ucontext_t *ucp = context;

    (void)sig, (void)info;
    ucp->uc_mcontext.__gregs[0] += 4; /* over the illegal instruction */
    interrupted = ucp;
    switch (resume) {
    case SET:
        setcontext(ucp);
        CHECK(!"resumed");
    case COPY:
        CHECK(rctx_copycontext(&copied, ucp) == 0);
        memset(ucp, 0, 700);
        setcontext(&copied);
        CHECK(!"resumed");
    case SWAP:
        swapcontext(&from_handler, &other_context);
        CHECK(!"resumed");
    }
}

static void test_interrupted(void)
{
    static char alternate[STACK];
    const stack_t on = {.ss_sp = alternate, .ss_size = sizeof alternate}, off = {.ss_flags = SS_DISABLE};
    struct sigaction action = {.sa_sigaction = handler};
    sigset_t before, after;

    CHECK(sigprocmask(SIG_SETMASK, NULL, &before) == 0);
    for (int i = 0; i < 2 * RESUMES; i++) {
        uint64_t report[EVERY + 2], seed = next_random();
        int alternately = i >= RESUMES;

        resume = i % RESUMES;
        action.sa_flags = SA_SIGINFO | (alternately ? SA_ONSTACK : 0);
        CHECK(sigaltstack(alternately ? &on : &off, NULL) == 0);
        CHECK(sigaction(SIGILL, &action, NULL) == 0);
        CHECK(getcontext(&other_context) == 0);
        other_context.uc_stack.ss_sp = stack;
        other_context.uc_stack.ss_size = sizeof stack;
        rctx_makecontext(&other_context, resume_interrupted, NULL);
        trap_poisoned(seed, report);
        check_report(report, EVERY, seed);
        CHECK(sigprocmask(SIG_SETMASK, NULL, &after) == 0);
        CHECK(!memcmp(&before, &after, 8));
    }
    rctx_freecontext(&copied);
}

/* A handler's context resumed by another thread, which keeps its own thread pointer. */
static ucontext_t thread_context;
static uint64_t first_thread_pointer;

static uint64_t thread_pointer(void)
{
    uint64_t tp;
    asm volatile("mv %0, tp" : "=r"(tp));
    return tp;
}

static void migrate(void *arg)
{
    uint64_t report[EVERY + 2], seed = next_random();

    (void)arg;
    trap_poisoned(seed, report);
    check_report(report, EVERY, seed);
    CHECK(report[EVERY + 1] == thread_pointer());
    CHECK(report[EVERY + 1] != first_thread_pointer);
    setcontext(&thread_context);
    CHECK(!"resumed");
}

static void *resume_there(void *arg)
{
    uint64_t before = thread_pointer();

    (void)arg;
    CHECK(swapcontext(&thread_context, interrupted) == 0);
    CHECK(thread_pointer() == before);
    return NULL;
}

static void test_migration(void)
{
    pthread_t thread;

    resume = SWAP;
    first_thread_pointer = thread_pointer();
    CHECK(getcontext(&main_context) == 0);
    CHECK(getcontext(&from_handler) == 0);
    from_handler.uc_stack.ss_sp = second_stack;
    from_handler.uc_stack.ss_size = sizeof second_stack;
    rctx_makecontext(&from_handler, migrate, NULL);
    CHECK(swapcontext(&other_context, &from_handler) == 0); /* and back out of the handler */
    CHECK(pthread_create(&thread, NULL, resume_there, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

int main(void)
{
    seed_random();
    test_interrupted();
    test_migration();
    END();
}
