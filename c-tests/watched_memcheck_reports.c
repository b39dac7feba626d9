/* Memcheck still reports a jump inside a context that depends on a byte which nobody has set.
 *
 *     native: yes
 *     linkings:
 *     valgrind: memcheck
 *     status: 99
 *     stderr: (?s).*depends on uninitialised value.*
 */
#include "watched.h"

static void fault(void)
{
    volatile char *volatile room = malloc(8);

    if (room[3])
        puts("one");
    free((char *)room);
}

int main(void)
{
    static char stack[STACK_SIZE] __attribute__((aligned(16)));
    static void (*function)(void) = fault;

    make(&watched[0], stack, run_fault, &function, &watched_home);
    CHECK(swapcontext(&watched_home, &watched[0]) == 0);
    END();
    return 0;
}
