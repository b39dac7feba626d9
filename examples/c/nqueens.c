/* A backtracking search written as if every choice were the right one. choose() suspends the search, and resumes
 * the same suspended context once for each choice: the frames come back as they were, so that nothing is undone
 * by hand. (A context that is resumed more than once is a multi-shot continuation.) */
#include <rctx.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUEENS = 8, SOLUTIONS = 92 };

/* What the search shall not forget when it goes back: everything else is on its stack. */
static struct {
    ucontext_t context;
    int next;
} choices[QUEENS];
static ucontext_t base, found;
static int depth, solutions;

static void must(int status, const char *what)
{
    if (status == -1) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

/* Goes back to the last choice that has not been exhausted; ends the search when there is none. */
static void fail(void)
{
    while (depth > 0 && choices[depth - 1].next == QUEENS)
        depth--;
    must(rctx_setcontext(depth > 0 ? &choices[depth - 1].context : &found), "resume");
}

/* Returns 0 to QUEENS - 1, each in its turn: the capture returns once more at each resume. */
static int choose(void)
{
    choices[depth].next = 0;
    must(rctx_getcontext_sliced(&choices[depth++].context, &base), "capture");
    return choices[depth - 1].next++;
}

static void place_queens(void *unused)
{
    int columns[QUEENS];

    (void)unused;
    for (int row = 0; row < QUEENS; row++) {
        int column = choose();

        for (int other = 0; other < row; other++)
            if (columns[other] == column || abs(columns[other] - column) == row - other)
                fail();
        columns[row] = column;
    }
    if (solutions++ == 0)
        for (int row = 0; row < QUEENS; row++)
            for (int column = 0; column < QUEENS; column++)
                printf("%s%s", column == columns[row] ? "Q" : ".", column + 1 < QUEENS ? " " : "\n");
    fail();
}

static void search(void)
{
    static ucontext_t first;

    must(rctx_makecontext_sliced(&first, &base, place_queens, NULL), "make");
    must(rctx_swapcontext_sliced(&found, &first, &base), "search");
    rctx_freecontext(&first);
    rctx_freecontext(&found);
    for (int index = 0; index < QUEENS; index++)
        rctx_freecontext(&choices[index].context);
}

int main(void)
{
    must(getcontext(&base), "getcontext");
    search();
    printf("%d solutions for %d queens\n", solutions, QUEENS);
    return solutions == SOLUTIONS ? EXIT_SUCCESS : EXIT_FAILURE;
}
