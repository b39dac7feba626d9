/* The third argument of a signal handler, given to setcontext and swapcontext: the interrupted code goes on
 * with every register, the flags, the vector registers and the signal mask. From the handler's own stack, from
 * another after a swap, and on an alternate stack; by our twins as well; an assigned copy is EINVAL; a deep copy
 * outlives the handler.
 *
 *     linkings: shared static
 */
#define _GNU_SOURCE
#include "check.h"
#include "machine.h"

#include <rctx.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

enum { BY_SETCONTEXT, BY_TWIN, BY_SWAP, ELSEWHERE, COPIED, WAYS, LATER };

static volatile int way, handled;
static ucontext_t elsewhere, in_handler, deep;
static const ucontext_t *kernels;
static char stack[65536], alternate[65536];
static int under_valgrind;

/* Runs on a stack of its own; the handler has swapped away and has not returned. */
static void resume_kernels(void)
{
    setcontext(kernels);
    CHECK(!"setcontext returned");
}

HANDLER static void on_signal(int signal, siginfo_t *info, void *context)
{
    ucontext_t assigned = *(ucontext_t *)context;

    (void)info;
    CHECK(signal == SIGUSR1 || signal == SIGALRM);
    handled++;
    if (!under_valgrind && !COPY_IS_AS_GOOD) {
        CHECK_FAILS(setcontext(&assigned), EINVAL);
        CHECK_FAILS(rctx_swapcontext(&in_handler, &assigned), EINVAL);
    }
    switch (way) {
    case BY_SETCONTEXT:
        setcontext(context);
        break;
    case BY_TWIN:
        rctx_setcontext(context);
        break;
    case BY_SWAP:
        swapcontext(&in_handler, context);
        break;
    case ELSEWHERE:
        kernels = context;
        CHECK(getcontext(&elsewhere) == 0);
        elsewhere.uc_stack.ss_sp = stack;
        elsewhere.uc_stack.ss_size = sizeof stack;
        elsewhere.uc_link = NULL;
        makecontext(&elsewhere, resume_kernels, 0);
        swapcontext(&in_handler, &elsewhere);
        break;
    case COPIED:
        CHECK(rctx_copycontext(&deep, context) == 0);
        setcontext(&deep);
        break;
    case LATER:
        CHECK(rctx_copycontext(&deep, context) == 0);
        return;
    }
    CHECK(!"the interrupted code was not resumed");
}

#if defined __x86_64__
/* Interrupts itself with every register poisoned, and stores what it finds afterwards. */
struct registers {
    uint64_t general[15]; /* rax rbx rcx rdx rsi rdi rbp r8-r15; rax is the system call's result */
    uint64_t flags;
    unsigned char xmm[16][16];
    uint32_t mxcsr;
    uint16_t x87;
};
static struct registers before, after;
static uint64_t saved_rsp, saved_rbp;

__attribute__((noinline)) static void interrupt_poisoned(long pid)
{
    __asm__ volatile(
        "sub $128, %%rsp\n" /* the compiler's red zone */
        "push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15\n"
        "mov %%rsp, %[rsp]\n"
        "lea %[before], %%rax\n"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "movups 128+16*\\n(%%rax), %%xmm\\n\n"
        ".endr\n"
        "mov 8(%%rax), %%rbx; mov 24(%%rax), %%rdx; mov 48(%%rax), %%rbp\n"
        "mov 56(%%rax), %%r8; mov 64(%%rax), %%r9; mov 72(%%rax), %%r10\n"
        "mov 88(%%rax), %%r12; mov 96(%%rax), %%r13; mov 104(%%rax), %%r14; mov 112(%%rax), %%r15\n"
        "mov %[kill], %%eax; mov %[usr1], %%esi; stc; std; syscall\n"
        "pushf; cld\n"
        "mov %%rbp, %[rbp]\n"
        "lea %[after], %%rbp\n"
        "mov %%rax, 0(%%rbp); mov %%rbx, 8(%%rbp); mov %%rdx, 24(%%rbp); mov %%rsi, 32(%%rbp)\n"
        "mov %%rdi, 40(%%rbp); mov %%r8, 56(%%rbp); mov %%r9, 64(%%rbp); mov %%r10, 72(%%rbp)\n"
        "mov %%r12, 88(%%rbp); mov %%r13, 96(%%rbp); mov %%r14, 104(%%rbp); mov %%r15, 112(%%rbp)\n"
        "pop %%rax; mov %%rax, 120(%%rbp)\n"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "movups %%xmm\\n, 128+16*\\n(%%rbp)\n"
        ".endr\n"
        "cmp %[rsp], %%rsp\n"
        "je 1f\n"
        "ud2\n"
        "1: pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n"
        "add $128, %%rsp\n"
        : [rsp] "=m"(saved_rsp), [rbp] "=m"(saved_rbp), [after] "=m"(after), "+D"(pid)
        : [before] "m"(before), [kill] "i"(SYS_kill), [usr1] "i"(SIGUSR1)
        : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3",
          "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static void interrupt_and_compare(void)
{
    enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11 };
    uint32_t mxcsr = 0x1f80 | 0x6000, mxcsr_after;
    uint16_t x87 = 0x37f | 0xc00, x87_after;
    uint32_t usual_mxcsr;
    uint16_t usual_x87;

    for (size_t i = 0; i < sizeof before; i++)
        ((unsigned char *)&before)[i] = (unsigned char)next_random();
    memset(&after, 0, sizeof after);
    __asm__("stmxcsr %0; fnstcw %1" : "=m"(usual_mxcsr), "=m"(usual_x87));
    __asm__ volatile("ldmxcsr %0; fldcw %1" ::"m"(mxcsr), "m"(x87));
    interrupt_poisoned(getpid());
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr_after), "=m"(x87_after));
    __asm__ volatile("ldmxcsr %0; fldcw %1" ::"m"(usual_mxcsr), "m"(usual_x87));
    CHECK(after.general[RAX] == 0); /* kill's result */
    CHECK(after.general[RSI] == SIGUSR1 && after.general[RDI] == (uint64_t)getpid());
    for (int i = 0; i < 15; i++)
        if (i != RAX && i != RCX && i != RSI && i != RDI && i != RBP && i != R11)
            CHECK(after.general[i] == before.general[i]);
    CHECK(saved_rbp == before.general[RBP]);
    CHECK((after.flags & 0x401) == 0x401); /* carry and direction */
    CHECK(!memcmp(after.xmm, before.xmm, sizeof after.xmm));
    CHECK((mxcsr_after & 0xffc0) == mxcsr && x87_after == x87);
}

/* The upper halves, where the machine has them. */
__attribute__((target("avx"))) static void interrupt_with_ymm(void)
{
    static uint64_t poison[4] = {0x1111, 0x2222, 0x3333, 0x4444}, found[4];
    long pid = getpid(), signal = SIGUSR1, result = SYS_kill;

    if (!__builtin_cpu_supports("avx"))
        return;
    __asm__ volatile("vmovups %3, %%ymm11; syscall; vmovups %%ymm11, %0; vzeroupper"
                     : "=m"(found), "+a"(result), "+D"(pid)
                     : "m"(poison), "S"(signal)
                     : "rcx", "r11", "memory", "xmm11");
    CHECK(result == 0 && !memcmp(found, poison, sizeof poison));
}
#else
static void interrupt_and_compare(void)
{
    double floating = 1.0 / 3;

    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(floating == 1.0 / 3);
}
static void interrupt_with_ymm(void) {}
#endif

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    stack_t stack_of_signals = {.ss_sp = alternate, .ss_size = sizeof alternate}, found;
    sigset_t mask, now;

    under_valgrind = getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "vgpreload");
    seed_random();
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    CHECK(sigprocmask(SIG_SETMASK, &mask, NULL) == 0);
    CHECK(sigaltstack(&stack_of_signals, NULL) == 0);
    for (int on_alternate = 0; on_alternate < 2; on_alternate++) {
        action.sa_flags = SA_SIGINFO | (on_alternate ? SA_ONSTACK : 0);
        CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
        for (way = 0; way < WAYS; way++) {
            if (under_valgrind && way >= COPIED)
                continue; /* a frame that valgrind made has no size */
            for (int i = 0; i < 5; i++) {
                int calls = handled;

                interrupt_and_compare();
                CHECK(handled == calls + 1);
                calls = handled;
                interrupt_with_ymm();
                CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
                CHECK(sigismember(&now, SIGHUP) && !sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2));
                CHECK(sigaltstack(NULL, &found) == 0);
                CHECK(found.ss_sp == alternate && found.ss_flags == 0);
            }
        }
    }
    if (!under_valgrind) {
        /* A copy made in a handler that has returned since: the loop goes on where it was. */
        static volatile int passed;
        struct itimerval soon = {.it_value = {.tv_usec = 1000}};

        way = LATER;
        handled = 0;
        CHECK(sigaction(SIGALRM, &action, NULL) == 0);
        CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
        while (!handled)
            ;
        if (++passed < 3) {
            memset(stack, 0x55, sizeof stack);
            setcontext(&deep);
            CHECK(!"setcontext returned");
        }
        CHECK(passed == 3);
        rctx_freecontext(&deep);
        CHECK_FAILS(setcontext(&deep), EINVAL);
    }
    END();
    return 0;
}
