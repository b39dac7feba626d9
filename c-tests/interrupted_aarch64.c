/* Every register there is, in code that a signal interrupts and that its handler's context resumes.
 *
 *     arch: aarch64
 */
#define _GNU_SOURCE
#include "check.h"

#include <rctx.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>

/* All that a signal's frame holds; x0, x1 and x8 are those of the system call kill. */
struct everything {
    uint64_t x[31], flags;
    unsigned char v[32][16];
};

void interrupt(const struct everything *before, struct everything *after);
#define EACH_X "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30"
#define EACH_V "0," EACH_X ",31"
__asm__(".text\n"
        "interrupt:\n"
        "stp x29, x30, [sp, #-176]!\n"
        "stp x19, x20, [sp, #16]\n"
        "stp x21, x22, [sp, #32]\n"
        "stp x23, x24, [sp, #48]\n"
        "stp x25, x26, [sp, #64]\n"
        "stp x27, x28, [sp, #80]\n"
        "stp d8, d9, [sp, #96]\n"
        "stp d10, d11, [sp, #112]\n"
        "stp d12, d13, [sp, #128]\n"
        "stp d14, d15, [sp, #144]\n"
        "str x1, [sp, #160]\n"
        "ldr x1, [x0, #248]\n"
        "msr nzcv, x1\n"
        "add x1, x0, #256\n"
        ".irp n, " EACH_V "\n"
        "ldr q\\n, [x1], #16\n"
        ".endr\n"
        ".irp n, " EACH_X "\n"
        "ldr x\\n, [x0, #8 * \\n]\n"
        ".endr\n"
        "ldr x0, [x0]\n"
        "svc #0\n"
        "stp x0, x1, [sp, #-16]!\n"
        "ldr x0, [sp, #176]\n" /* after */
        ".irp n, " EACH_X "\n"
        "str x\\n, [x0, #8 * \\n]\n"
        ".endr\n"
        "ldp x1, x2, [sp], #16\n"
        "stp x1, x2, [x0]\n"
        "mrs x1, nzcv\n"
        "str x1, [x0, #248]\n"
        "add x1, x0, #256\n"
        ".irp n, " EACH_V "\n"
        "str q\\n, [x1], #16\n"
        ".endr\n"
        "ldp d14, d15, [sp, #144]\n"
        "ldp d12, d13, [sp, #128]\n"
        "ldp d10, d11, [sp, #112]\n"
        "ldp d8, d9, [sp, #96]\n"
        "ldp x27, x28, [sp, #80]\n"
        "ldp x25, x26, [sp, #64]\n"
        "ldp x23, x24, [sp, #48]\n"
        "ldp x21, x22, [sp, #32]\n"
        "ldp x19, x20, [sp, #16]\n"
        "ldp x29, x30, [sp], #176\n"
        "ret\n");
_Static_assert(offsetof(struct everything, flags) == 248 && offsetof(struct everything, v) == 256, "as above");

enum { FROM_HANDLER, FROM_ELSEWHERE, FROM_COPY, RESUMES };
static int how;
static const ucontext_t *interrupted;
static ucontext_t in_handler, elsewhere, copy;

static void resume_interrupted(void *unused)
{
    (void)unused;
    setcontext(interrupted);
    CHECK(!"setcontext returned");
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    static char stack[65536];

    (void)signal, (void)info;
    __asm__ volatile(".irp n, " EACH_V "\n"
                     "movi v\\n\\().16b, #0x55\n"
                     ".endr" ::
                         : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
                           "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
                           "v26", "v27", "v28", "v29", "v30", "v31");
    interrupted = context;
    if (how == FROM_COPY) {
        CHECK(rctx_copycontext(&copy, context) == 0);
        memset(context, 0x55, sizeof copy); /* the copy needs nothing of it */
        interrupted = &copy;
    }
    if (how == FROM_ELSEWHERE) {
        CHECK(getcontext(&elsewhere) == 0);
        elsewhere.uc_stack.ss_sp = stack;
        elsewhere.uc_stack.ss_size = sizeof stack;
        rctx_makecontext(&elsewhere, resume_interrupted, NULL);
        swapcontext(&in_handler, &elsewhere);
    }
    setcontext(interrupted);
    CHECK(!"setcontext returned");
}

static void interruptions(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    struct everything before, after;

    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (how = FROM_HANDLER; how < RESUMES; how++)
        for (int i = 0; i < 10; i++) {
            for (size_t j = 0; j < sizeof before; j++)
                ((unsigned char *)&before)[j] = (unsigned char)next_random();
            before.x[0] = (uint64_t)getpid();
            before.x[1] = SIGUSR1;
            before.x[8] = SYS_kill;
            before.flags &= 0xfu << 28;
            interrupt(&before, &after);
            before.x[0] = 0; /* kill's result */
            CHECK(!memcmp(&after, &before, sizeof after));
        }
    rctx_freecontext(&copy);
}

int main(void)
{
    seed_random();
    interruptions();
    END();
}
