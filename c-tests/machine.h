/* Where <ucontext.h> keeps the program counter and the stack pointer, and where a function expects the stack
 * pointer when it is entered at the top of a stack. */
#ifndef MACHINE_H
#define MACHINE_H

#ifndef _GNU_SOURCE
#error "REG_RIP and the like want _GNU_SOURCE before the first header"
#endif
#include <ucontext.h>

#if defined __x86_64__
#define PROGRAM_COUNTER(context) (context).uc_mcontext.gregs[REG_RIP]
#define STACK_POINTER(context) (context).uc_mcontext.gregs[REG_RSP]
#define ENTRY_OFFSET 8 /* as after a call */
#elif defined __i386__
#define PROGRAM_COUNTER(context) (context).uc_mcontext.gregs[REG_EIP]
#define STACK_POINTER(context) (context).uc_mcontext.gregs[REG_ESP]
#define ENTRY_OFFSET 4
#elif defined __aarch64__
#define PROGRAM_COUNTER(context) (context).uc_mcontext.pc
#define STACK_POINTER(context) (context).uc_mcontext.sp
#define ENTRY_OFFSET 0
#elif defined __arm__
#define PROGRAM_COUNTER(context) (context).uc_mcontext.arm_pc
#define STACK_POINTER(context) (context).uc_mcontext.arm_sp
#define ENTRY_OFFSET 0
#elif defined __riscv
#define PROGRAM_COUNTER(context) (context).uc_mcontext.__gregs[0]
#define STACK_POINTER(context) (context).uc_mcontext.__gregs[2]
#define ENTRY_OFFSET 0
#elif defined __loongarch__
#define PROGRAM_COUNTER(context) (context).uc_mcontext.__pc
#define STACK_POINTER(context) (context).uc_mcontext.__gregs[3]
#define ENTRY_OFFSET 0
#elif defined __s390x__
#define PROGRAM_COUNTER(context) (context).uc_mcontext.psw.addr
#define STACK_POINTER(context) (context).uc_mcontext.gregs[15]
#define ENTRY_OFFSET 160 /* the register save area */
#elif defined __powerpc64__
#define PROGRAM_COUNTER(context) (context).uc_mcontext.gp_regs[32]
#define STACK_POINTER(context) (context).uc_mcontext.gp_regs[1]
#define ENTRY_OFFSET 96 /* header and parameter save area */
#else
#error "say here where the program counter and the stack pointer are"
#endif

/* Whether an assigned copy of a signal handler's context can be told from the original: where the structure
 * holds all that was saved, a copy is as good. */
#if defined __aarch64__ || defined __arm__ || defined __loongarch__ || defined __riscv
enum { COPY_IS_AS_GOOD = 1 };
#else
enum { COPY_IS_AS_GOOD = 0 };
#endif

/* The rounding mode of a zeroed context: the running one where the state is behind a pointer or in a record,
 * else zeros. */
#if defined __x86_64__ || defined __i386__ || defined __aarch64__ || defined __arm__
#define ZEROED_ROUNDING(running) (running)
#else
#define ZEROED_ROUNDING(running) FE_TONEAREST
#endif

#endif
