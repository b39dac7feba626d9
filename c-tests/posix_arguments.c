/* makecontext passes any number of arguments as full machine words, and pointers among them.
 *
 *     linkings: shared static preload oracle
 *     compilers: gcc clang
 *     valgrind: memcheck
 */
#include "check.h"

enum { MOST = 27 };
typedef uintptr_t word;

static ucontext_t home, context;
static char stack[65536];
static word given[MOST];
static int count, calls;

static void take(word a, word b, word c, word d, word e, word f, word g, word h, word i, word j, word k,
                 word l, word m, word n, word o, word p, word q, word r, word s, word t, word u, word v,
                 word w, word x, word y, word z, word last)
{
    word taken[MOST] = {a, b, c, d, e, f, g, h, i, j, k, l, m, n,
                        o, p, q, r, s, t, u, v, w, x, y, z, last};

    for (int index = 0; index < count; index++)
        CHECK(taken[index] == given[index]);
    calls++;
}

static void pointers(ucontext_t *first, char *second, int *third)
{
    CHECK(first == &context && second == stack && third == &calls);
    calls++;
}

static void narrow(int first, unsigned second, signed char third)
{
    CHECK(first == -1 && second == 0xfffffffeu && third == -3);
    calls++;
}

/* Whatever is found in their place is passed on: nothing else can go wrong. */
static void ignores(int first, int second)
{
    (void)first, (void)second;
    calls++;
}

static void start(void)
{
    CHECK(swapcontext(&home, &context) == 0);
}

int main(void)
{
    seed_random();
    prepare(&context, stack, sizeof stack, &home);
    for (count = 0; count <= MOST; count++) {
        for (int index = 0; index < MOST; index++)
            given[index] = (word)next_random();
        makecontext(&context, (void (*)(void))take, count, given[0], given[1], given[2], given[3],
                    given[4], given[5], given[6], given[7], given[8], given[9], given[10], given[11],
                    given[12], given[13], given[14], given[15], given[16], given[17], given[18],
                    given[19], given[20], given[21], given[22], given[23], given[24], given[25],
                    given[26]);
        start();
    }
    CHECK(calls == MOST + 1);

    makecontext(&context, (void (*)(void))pointers, 3, &context, stack, &calls);
    start();
    makecontext(&context, (void (*)(void))narrow, 3, -1, 0xfffffffeu, -3);
    start();
    makecontext(&context, (void (*)(void))ignores, 1);
    start();
    makecontext(&context, (void (*)(void))ignores, 2);
    start();
    CHECK(calls == MOST + 5);
    END();
    return 0;
}
