/* Helgrind still reports a race between two contexts.
 *
 *     native: yes
 *     linkings:
 *     flags: -pthread
 *     valgrind: helgrind
 *     status: 99
 *     stderr: (?s).*Possible data race.*
 */
#include "watched.h"

static volatile int shared;

static void increment(void *unused)
{
    (void)unused;
    shared++;
}

static void *race(void *stack)
{
    ucontext_t context, here;

    make(&context, stack, increment, NULL, &here);
    CHECK(swapcontext(&here, &context) == 0);
    return NULL;
}

int main(void)
{
    static char stacks[2][STACK_SIZE] __attribute__((aligned(16)));
    pthread_t threads[2];

    for (int index = 0; index < 2; index++)
        CHECK(pthread_create(&threads[index], NULL, race, stacks[index]) == 0);
    for (int index = 0; index < 2; index++)
        CHECK(pthread_join(threads[index], NULL) == 0);
    END();
    return 0;
}
