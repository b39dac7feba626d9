/* What a program writes into the registers of a saved context takes effect: program counter, stack pointer,
 * callee-saved and argument registers.
 *
 *     linkings: shared static preload oracle
 *     nooracle: powerpc64 s390x
 *     compilers: gcc clang
 *     valgrind: memcheck
 */
#define _GNU_SOURCE
#include "check.h"
#include "machine.h"

static ucontext_t home, context;
static _Alignas(16) char stack[65536];
static volatile int returned;

void landing(void);
void check_edited(const uintptr_t *found);

/* The registers that are written, as indices of an array of <ucontext.h>, and a landing that pushes them in
 * the opposite order and passes them on as an array. */
#if defined __x86_64__
#define REGISTERS(context) (context).uc_mcontext.gregs
static const int edited[] = {REG_RBX, REG_RBP, REG_R12, REG_R13, REG_R14, REG_R15,
                             REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8,  REG_R9};
__asm__(".pushsection .text\n"
        ".globl landing\n"
        "landing:\n"
        "push %r9; push %r8; push %rcx; push %rdx; push %rsi; push %rdi\n"
        "push %r15; push %r14; push %r13; push %r12; push %rbp; push %rbx\n"
        "mov %rsp, %rdi\n"
        "call check_edited\n"
        "ud2\n"
        ".popsection");
#elif defined __i386__
#define REGISTERS(context) (context).uc_mcontext.gregs
static const int edited[] = {REG_EBX, REG_ESI, REG_EDI, REG_EBP};
__asm__(".pushsection .text\n"
        ".globl landing\n"
        "landing:\n"
        "push %ebp; push %edi; push %esi; push %ebx\n"
        "mov %esp, %eax\n"
        "push %eax; push %eax; push %eax; push %eax\n"
        "call check_edited\n"
        "ud2\n"
        ".popsection");
#elif defined __aarch64__
#define REGISTERS(context) (context).uc_mcontext.regs
static const int edited[] = {0,  1,  2,  3,  4,  5,  6,  7,  19, 20,
                             21, 22, 23, 24, 25, 26, 27, 28, 29, 30};
__asm__(".pushsection .text\n"
        ".globl landing\n"
        "landing:\n"
        "stp x29, x30, [sp, #-16]!; stp x27, x28, [sp, #-16]!; stp x25, x26, [sp, #-16]!\n"
        "stp x23, x24, [sp, #-16]!; stp x21, x22, [sp, #-16]!; stp x19, x20, [sp, #-16]!\n"
        "stp x6, x7, [sp, #-16]!; stp x4, x5, [sp, #-16]!; stp x2, x3, [sp, #-16]!; stp x0, x1, [sp, #-16]!\n"
        "mov x0, sp\n"
        "bl check_edited\n"
        ".popsection");
#elif defined __arm__
#define REGISTERS(context) (&(context).uc_mcontext.arm_r0)
static const int edited[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
__asm__(".pushsection .text\n"
        ".globl landing\n"
        ".arm\n"
        ".type landing, %function\n"
        "landing:\n"
        "push {r0-r11}\n"
        "mov r0, sp\n"
        "bl check_edited\n"
        ".popsection");
#elif defined __riscv
#define REGISTERS(context) (context).uc_mcontext.__gregs
static const int edited[] = {8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27};
__asm__(".pushsection .text\n"
        ".globl landing\n"
        "landing:\n"
        "addi sp, sp, -160\n"
        ".irp n, 8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27\n"
        "sd x\\n, 8*(\\n - 8)(sp)\n"
        ".endr\n"
        "mv a0, sp\n"
        "call check_edited\n"
        ".popsection");
#elif defined __loongarch__
#define REGISTERS(context) (context).uc_mcontext.__gregs
static const int edited[] = {4, 5, 6, 7, 8, 9, 10, 11, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
__asm__(".pushsection .text\n"
        ".globl landing\n"
        "landing:\n"
        "addi.d $sp, $sp, -144\n"
        ".irp n, 4,5,6,7,8,9,10,11\n"
        "st.d $r\\n, $sp, 8*(\\n - 4)\n"
        ".endr\n"
        ".irp n, 22,23,24,25,26,27,28,29,30,31\n"
        "st.d $r\\n, $sp, 8*(\\n - 14)\n"
        ".endr\n"
        "move $a0, $sp\n"
        "bl check_edited\n"
        ".popsection");
#elif defined __s390x__
#define REGISTERS(context) (context).uc_mcontext.gregs
static const int edited[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
__asm__(".pushsection .text\n"
        ".globl landing\n"
        "landing:\n"
        "aghi %r15, -96\n"
        "stmg %r2, %r13, 0(%r15)\n"
        "lgr %r2, %r15\n"
        "aghi %r15, -160\n"
        "brasl %r14, check_edited\n"
        ".popsection");
#elif defined __powerpc64__
#define REGISTERS(context) (context).uc_mcontext.gp_regs
static const int edited[] = {3,  4,  5,  6,  7,  8,  9,  10, 14, 15, 16, 17, 18,
                             19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
__asm__(".pushsection .text\n"
        ".globl landing\n"
        ".type landing, @function\n"
        "landing:\n"
        "addis 2, 12, .TOC.-landing@ha\n"
        "addi 2, 2, .TOC.-landing@l\n"
        ".localentry landing, .-landing\n"
        "addi 1, 1, -208\n"
        ".irp n, 3,4,5,6,7,8,9,10\n"
        "std \\n, 8*(\\n - 3)(1)\n"
        ".endr\n"
        ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
        "std \\n, 8*(\\n - 6)(1)\n"
        ".endr\n"
        "mr 3, 1\n"
        "addi 1, 1, -96\n"
        "bl check_edited\n"
        "nop\n"
        ".popsection");
#else
#error "say here which registers of this instruction set a program may write"
#endif

enum { EDITED = sizeof edited / sizeof *edited };
static uintptr_t values[EDITED];

static void edit(ucontext_t *ucp)
{
    PROGRAM_COUNTER(*ucp) = (uintptr_t)landing;
    STACK_POINTER(*ucp) = (uintptr_t)(stack + sizeof stack);
    for (int i = 0; i < EDITED; i++)
        REGISTERS(*ucp)[edited[i]] = values[i];
}

void check_edited(const uintptr_t *found)
{
    for (int i = 0; i < EDITED; i++)
        CHECK(found[i] == values[i]);
    CHECK((const char *)(found + EDITED) == stack + sizeof stack);
    returned = 1;
    setcontext(&home);
}

int main(void)
{
    seed_random();
    prepare(&context, stack, sizeof stack, NULL);
    for (int i = 0; i < EDITED; i++)
        values[i] = (uintptr_t)next_random();
    edit(&context);
    CHECK(getcontext(&home) == 0);
    if (!returned) {
        setcontext(&context);
        CHECK(!"setcontext returned");
    }

    returned = 0;
    CHECK(swapcontext(&home, &context) == 0);
    CHECK(returned);
    END();
    return 0;
}
