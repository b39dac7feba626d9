/* Two contexts hand a ball to each other: POSIX alone, but for the line that names the library. */
#include <rctx.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 3 };

static ucontext_t table, player;

static void play(void)
{
    for (int round = 1; round <= ROUNDS; round++) {
        printf("          pong %d\n", round);
        swapcontext(&player, &table);
    }
}

int main(void)
{
    static char stack[64 * 1024];

    printf("rctx %s\n", rctx_version());
    if (getcontext(&player) == -1) {
        perror("getcontext");
        return EXIT_FAILURE;
    }
    player.uc_stack.ss_sp = stack;
    player.uc_stack.ss_size = sizeof stack;
    player.uc_link = &table; /* resumed when play returns */
    makecontext(&player, play, 0);

    for (int round = 1; round <= ROUNDS; round++) {
        printf("ping %d\n", round);
        if (swapcontext(&table, &player) == -1) {
            perror("swapcontext");
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}
