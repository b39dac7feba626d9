/* A chain of 1000 contexts, each resumed through the uc_link of the one before.
 * linkings: shared static preload oracle
 */
#include "check.h"
#include <ucontext.h>

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
        CHECK(getcontext(&chain[i]) == 0);
        chain[i].uc_stack.ss_sp = stacks + (size_t)i * STACK;
        chain[i].uc_stack.ss_size = STACK;
        chain[i].uc_link = i + 1 < LENGTH ? &chain[i + 1] : &home;
        makecontext(&chain[i], (void (*)(void))step, 1, i);
    }
    for (int round = 0; round < 2; round++) {
        ended = 0;
        CHECK(swapcontext(&home, &chain[0]) == 0);
        CHECK(ended == LENGTH);
        for (int i = 0; i < LENGTH; i++)
            makecontext(&chain[i], (void (*)(void))step, 1, i);
    }
    free(stacks);
    END();
    return 0;
}
