/* A chain of 1000 contexts, each resumed through the uc_link of the one before.
 *
 *     linkings: shared static preload oracle
 *     nooracle: powerpc64
 *     compilers: gcc clang
 *     valgrind: memcheck
 */
#include "check.h"

enum { LENGTH = 1000, STACK = 16384 };

static ucontext_t chain[LENGTH], home;
static int ended;

static void step(int number)
{
    CHECK(number == ended);
    ended++;
}

int main(void)
{
    char *stacks = malloc((size_t)LENGTH * STACK);

    CHECK(stacks != NULL);
    for (int i = 0; i < LENGTH; i++) {
        prepare(&chain[i], stacks + (size_t)i * STACK, STACK, NULL);
    }
    for (int round = 0; round < 2; round++) {
        ended = 0;
        for (int i = 0; i < LENGTH; i++) {
            chain[i].uc_link = i + 1 < LENGTH ? &chain[i + 1] : &home;
            makecontext(&chain[i], (void (*)(void))step, 1, i);
            chain[i].uc_link = NULL; /* it was copied */
        }
        CHECK(swapcontext(&home, &chain[0]) == 0);
        CHECK(ended == LENGTH);
    }
    free(stacks);
    END();
    return 0;
}
