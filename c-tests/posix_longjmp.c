/* Coroutines as QEMU has them: entered once by swapcontext, and switched by _setjmp and longjmp from then on.
 *
 *     linkings: shared static preload oracle track
 *     compilers: gcc clang
 */
#include "check.h"

#include <setjmp.h>

static ucontext_t home, context;
static jmp_buf in_main, in_coroutine;
static char stack[65536];
static volatile int turns;

static void jump(jmp_buf from, jmp_buf to)
{
    if (!_setjmp(from))
        longjmp(to, 1);
}

static void coroutine(void)
{
    for (;;) {
        turns++;
        jump(in_coroutine, in_main);
    }
}

int main(void)
{
    prepare(&context, stack, sizeof stack, &home);
    makecontext(&context, coroutine, 0);
    if (!_setjmp(in_main))
        swapcontext(&home, &context);
    for (volatile int round = 1; round < 1000; round++) {
        CHECK(turns == round);
        jump(in_main, in_coroutine);
    }
    CHECK(turns == 1000);
    END();
    return 0;
}
