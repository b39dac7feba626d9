/* Whatever address and size the stack has, a function starts with the alignment that the ABI promises it,
 * and nothing outside the stack is written.
 *
 *     linkings: shared static preload oracle
 *     nooracle: arm
 *     compilers: gcc clang
 */
#include "check.h"

enum { SIZE = 4096, ODD = 32, GUARD = 64 };

static ucontext_t home, context;
static _Alignas(16) unsigned char memory[GUARD + ODD + SIZE + ODD + GUARD];
static unsigned char *low, *high;
static int entered;

static void check_alignment(uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e,
                            uintptr_t f, uintptr_t g, uintptr_t h)
{
    _Alignas(16) unsigned char variable[16];
    unsigned char *address = variable;

    __asm__("" : "+r"(address)); /* else the compiler believes what it is told */
    CHECK((uintptr_t)address % 16 == 0);
    CHECK(address > low && address < high);
    uintptr_t taken[] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < entered % 9; i++)
        CHECK(taken[i] == (uintptr_t)i);
}

static void check_untouched(const unsigned char *from, const unsigned char *to)
{
    for (; from < to; from++)
        CHECK(*from == 0xa5);
}

int main(void)
{
    for (int address = 0; address < ODD; address++)
        for (int size = 0; size < ODD; size++) {
            memset(memory, 0xa5, sizeof memory);
            low = memory + GUARD + address;
            high = low + SIZE + size;
            prepare(&context, low, (size_t)(high - low), &home);
            makecontext(&context, (void (*)(void))check_alignment, entered % 9, (uintptr_t)0,
                        (uintptr_t)1, (uintptr_t)2, (uintptr_t)3, (uintptr_t)4, (uintptr_t)5,
                        (uintptr_t)6, (uintptr_t)7);
            CHECK(swapcontext(&home, &context) == 0);
            check_untouched(memory, low);
            check_untouched(high, memory + sizeof memory);
            entered++;
        }
    CHECK(entered == ODD * ODD);
    END();
    return 0;
}
