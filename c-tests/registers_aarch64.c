/* Every register that AAPCS64 calls preserved, poisoned with other values on each side of each kind of switch:
 * x19 to x29, sp, d8 to d15, FPCR, and FPSR, which belongs to the context as well. And every register there is,
 * in code that a signal interrupts and that its handler's context resumes.
 *
 *     arch: aarch64
 */
#define _GNU_SOURCE
#include "check.h"

#include <rctx.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>

struct registers {
    uint64_t x[11]; /* x19 to x29 */
    uint64_t sp;
    uint64_t d[8]; /* d8 to d15 */
    uint64_t fpcr, fpsr;
};

/* A call with poisoned registers, and what they hold afterwards. */
struct poisoned {
    void *function;
    const void *arguments[4];
    struct registers before, after;
};

long call_poisoned(struct poisoned *);
__asm__(".text\n"
        "call_poisoned:\n"
        "stp x29, x30, [sp, #-192]!\n"
        "stp x19, x20, [sp, #16]\n"
        "stp x21, x22, [sp, #32]\n"
        "stp x23, x24, [sp, #48]\n"
        "stp x25, x26, [sp, #64]\n"
        "stp x27, x28, [sp, #80]\n"
        "stp d8, d9, [sp, #96]\n"
        "stp d10, d11, [sp, #112]\n"
        "stp d12, d13, [sp, #128]\n"
        "stp d14, d15, [sp, #144]\n"
        "mrs x1, fpcr\n"
        "mrs x2, fpsr\n"
        "stp x1, x2, [sp, #160]\n"
        "str x0, [sp, #176]\n"
        "ldr x16, [x0]\n"
        "add x9, x0, #40\n" /* before */
        "mov x10, sp\n"
        "str x10, [x9, #88]\n"
        "ldp x19, x20, [x9]\n"
        "ldp x21, x22, [x9, #16]\n"
        "ldp x23, x24, [x9, #32]\n"
        "ldp x25, x26, [x9, #48]\n"
        "ldp x27, x28, [x9, #64]\n"
        "ldr x29, [x9, #80]\n"
        "ldp d8, d9, [x9, #96]\n"
        "ldp d10, d11, [x9, #112]\n"
        "ldp d12, d13, [x9, #128]\n"
        "ldp d14, d15, [x9, #144]\n"
        "ldp x10, x11, [x9, #160]\n"
        "msr fpcr, x10\n"
        "msr fpsr, x11\n"
        "ldp x2, x3, [x0, #24]\n"
        "ldp x0, x1, [x0, #8]\n"
        "blr x16\n"
        "ldr x9, [sp, #176]\n"
        "add x9, x9, #216\n" /* after */
        "stp x19, x20, [x9]\n"
        "stp x21, x22, [x9, #16]\n"
        "stp x23, x24, [x9, #32]\n"
        "stp x25, x26, [x9, #48]\n"
        "stp x27, x28, [x9, #64]\n"
        "mov x10, sp\n"
        "stp x29, x10, [x9, #80]\n"
        "stp d8, d9, [x9, #96]\n"
        "stp d10, d11, [x9, #112]\n"
        "stp d12, d13, [x9, #128]\n"
        "stp d14, d15, [x9, #144]\n"
        "mrs x10, fpcr\n"
        "mrs x11, fpsr\n"
        "stp x10, x11, [x9, #160]\n"
        "ldp x10, x11, [sp, #160]\n"
        "msr fpcr, x10\n"
        "msr fpsr, x11\n"
        "ldp d14, d15, [sp, #144]\n"
        "ldp d12, d13, [sp, #128]\n"
        "ldp d10, d11, [sp, #112]\n"
        "ldp d8, d9, [sp, #96]\n"
        "ldp x27, x28, [sp, #80]\n"
        "ldp x25, x26, [sp, #64]\n"
        "ldp x23, x24, [sp, #48]\n"
        "ldp x21, x22, [sp, #32]\n"
        "ldp x19, x20, [sp, #16]\n"
        "ldp x29, x30, [sp], #192\n"
        "ret\n");
_Static_assert(offsetof(struct poisoned, before) == 40 && offsetof(struct poisoned, after) == 216, "as above");

/* Rounding, flush to zero, default NaN, alternative half precision. */
static const uint64_t fpcr_bits = 0xfu << 22 | 1u << 26, fpsr_bits = 1u << 27 | 0x9f;

static void check_poisoned(struct poisoned *call, long expected)
{
    struct registers *before = &call->before;
    uint64_t *words = (uint64_t *)before;

    for (size_t i = 0; i < sizeof *before / sizeof *words; i++)
        words[i] = next_random();
    before->fpcr &= fpcr_bits;
    before->fpsr &= fpsr_bits;
    memset(&call->after, 0, sizeof call->after);
    CHECK(call_poisoned(call) == expected);
    CHECK(!memcmp(&call->after, before, sizeof *before));
}

/* The ways of a switch. The last three do not come back. */
enum { SWAP, TWIN_SWAP, SLICED, TWIN_SLICED, SET, TWIN_SET, LINK, WAYS };

static ucontext_t base, home, task;

static void switch_between(int way, ucontext_t *from, ucontext_t *to)
{
    void *functions[WAYS] = {swapcontext, rctx_swapcontext, swapcontext_sliced, rctx_swapcontext_sliced,
                             setcontext, rctx_setcontext};
    struct poisoned call = {.function = functions[way], .arguments = {from, to, &base}};

    if (way >= SET)
        call.arguments[0] = to;
    check_poisoned(&call, 0);
}

static int way_there, way_back;

static void run_task(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++)
        switch_between(way_back < SET ? way_back : SWAP, &task, &home);
    if (way_back != LINK)
        switch_between(way_back, &task, &home);
}

/* In frames below `base`, which a slice of the task lies over. */
__attribute__((noinline)) static void contexts(void)
{
    static char stack[65536];

    for (way_there = SWAP; way_there < SET; way_there++)
        for (way_back = SWAP; way_back < WAYS; way_back++) {
            int back_sliced = way_back == SLICED || way_back == TWIN_SLICED;

            rctx_freecontext(&home);
            rctx_freecontext(&task);
            memset(&home, 0, sizeof home);
            memset(&task, 0, sizeof task);
            if (back_sliced) {
                if (way_there < SLICED)
                    continue; /* the task would overwrite the caller's frames */
                task.uc_link = &home;
                CHECK(rctx_makecontext_sliced(&task, &base, run_task, NULL) == 0);
            } else {
                CHECK(getcontext(&task) == 0);
                task.uc_stack.ss_sp = stack;
                task.uc_stack.ss_size = sizeof stack;
                task.uc_link = &home;
                rctx_makecontext(&task, run_task, NULL);
            }
            for (int i = 0; i < 11; i++)
                switch_between(way_there, &home, &task);
        }
}

/* The compact handle. */
static rctx_slice_t *home_slice, *task_slice;

static void run_slice(void *unused)
{
    (void)unused;
    for (;;) {
        struct poisoned call = {.function = rctx_slice_swap, .arguments = {&task_slice, home_slice, &base}};

        check_poisoned(&call, 0);
    }
}

__attribute__((noinline)) static void slices(void)
{
    struct poisoned start = {.function = rctx_slice_start, .arguments = {&home_slice, &base, run_slice, NULL}};

    check_poisoned(&start, 0);
    for (int i = 0; i < 10; i++) {
        struct poisoned swap = {.function = rctx_slice_swap, .arguments = {&home_slice, task_slice, &base}};

        check_poisoned(&swap, 0);
    }
    rctx_slice_free(home_slice);
    rctx_slice_free(task_slice);
}

/* rctx_switch: a host and a guest on the same bytes of the stack. */
static struct side {
    void *near;
    size_t length;
    char bytes[16384];
} host, guest;

static struct transfer {
    struct side *from, *to;
} to_guest = {&host, &guest}, to_host = {&guest, &host}, to_nobody = {&host, NULL};

static char *far_end;

static void *move(void *argument, int op, void *stacktop)
{
    struct side *from = ((struct transfer *)argument)->from, *to = ((struct transfer *)argument)->to;

    if (op == RCTX_SAVE) {
        from->near = stacktop;
        from->length = (size_t)(far_end - (char *)stacktop);
        CHECK(from->length <= sizeof from->bytes);
        memcpy(from->bytes, stacktop, from->length);
        return to ? to->near : stacktop;
    }
    if (to)
        memcpy(stacktop, to->bytes, to->length);
    return NULL;
}

static void switch_sides(struct transfer *transfer)
{
    struct poisoned call = {.function = rctx_switch, .arguments = {move, transfer}};

    check_poisoned(&call, 0);
}

__attribute__((noinline)) static void switches(void)
{
    static int started, turns;

    switch_sides(&to_nobody);
    if (!started) {
        started = 1;
        for (;;) { /* as the guest */
            turns++;
            switch_sides(&to_host);
        }
    }
    for (int i = 0; i < 10; i++)
        switch_sides(&to_guest);
    CHECK(turns == 11);
}

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
    char anchor[64];

    far_end = anchor;
    seed_random();
    CHECK(getcontext(&base) == 0);
    contexts();
    slices();
    switches();
    interruptions();
    END();
    return 0;
}
