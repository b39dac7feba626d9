/* ThreadSanitizer says nothing of contexts, also of those that move between threads, and still reports a race
 * between two.
 *
 *     native: yes
 *     linkings: shared archive
 *     options: -O0 -O2
 *     compilers: gcc clang
 *     flags: -fsanitize=thread -pthread
 *     stderr:
 */
#include "watched.h"

static volatile int shared;

static void increment(void *unused)
{
    (void)unused;
    for (int turn = 0; turn < 1000; turn++)
        shared++;
}

static void *race(void *stack)
{
    ucontext_t context, here;

    make(&context, stack, increment, NULL, &here);
    CHECK(swapcontext(&here, &context) == 0);
    return NULL;
}

static void fault(void)
{
    static char stacks[2][STACK_SIZE] __attribute__((aligned(16)));
    pthread_t threads[2];

    for (int index = 0; index < 2; index++)
        CHECK(pthread_create(&threads[index], NULL, race, stacks[index]) == 0);
    for (int index = 0; index < 2; index++)
        CHECK(pthread_join(threads[index], NULL) == 0);
}

int main(void)
{
    expect_report(fault, "data race");
    watch_all();
    END();
    return 0;
}
