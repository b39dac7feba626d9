/* Stacks as real programs have them: 3,064 and 32,760 bytes, 8 modulo 16, 16 MiB. A context takes next to
 * nothing of its stack before its function starts.
 *
 *     linkings: shared static preload oracle
 *     valgrind: memcheck
 */
#include "check.h"

/* What the psABI asks of every frame. */
#if defined __s390x__ || defined __powerpc64__
enum { SAVE_AREAS = 320 };
#elif defined __aarch64__ /* whose frame record is at the lower end */
enum { SAVE_AREAS = 64 };
#else
enum { SAVE_AREAS = 0 };
#endif

static ucontext_t home, context;
static char *low, *high;
static int turns;

static void turn(void)
{
    char *here = __builtin_frame_address(0);

    CHECK(here > low && here <= high && high - here <= 64 + SAVE_AREAS);
    for (;;) {
        turns++;
        swapcontext(&context, &home);
    }
}

static void bind(void)
{
    swapcontext(&context, &home);
}

int main(void)
{
    static char large[65536];
    static const size_t sizes[] = {3064, 32760, 8200, 16 << 20, 65536};

    /* The loader's lazy binding of a function takes more than 3,064 bytes: done before. */
    prepare(&context, large, sizeof large, &home);
    makecontext(&context, bind, 0);
    CHECK(swapcontext(&home, &context) == 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        low = malloc(sizes[i]);
        CHECK(low != NULL);
        high = low + sizes[i];
        prepare(&context, low, sizes[i], NULL);
        makecontext(&context, turn, 0);
        turns = 0;
        for (int round = 1; round <= 1000; round++) {
            CHECK(swapcontext(&home, &context) == 0);
            CHECK(turns == round);
        }
        free(low);
    }
    END();
    return 0;
}
