/* rctx_call runs a function on another stack, and on its own when the stack is null.
 *
 *     linkings: shared static
 */
#include "check.h"

#include <rctx.h>

static char stack[65536];
static char *low, *high;
static void *expected_old;

/* Where all arguments are on the stack, they lie between the two. */
#ifdef __i386__
#define ARGUMENTS 32
#else
#define ARGUMENTS 0
#endif

static void *hook(void *argument, int op, void *old)
{
    volatile double aligned[2] = {1.5, 2.5}; /* faults under -O2 when the stack is not aligned */
    char *here = (char *)getstacktop();

    CHECK(op == RCTX_CALL && argument == &stack);
    CHECK(aligned[0] + aligned[1] == 4);
    if (low)
        CHECK(here > low && here < high);
    else
        CHECK(here < (char *)old && (char *)old - here < 4096);
    CHECK((char *)old <= (char *)expected_old && (char *)expected_old - (char *)old <= ARGUMENTS);
    return &low;
}

static void *nested(void *argument, int op, void *old)
{
    void *result;

    (void)argument, (void)op, (void)old;
    low = stack;
    high = stack + 32768;
    expected_old = getstacktop();
    result = rctx_call(hook, &stack, stack + 32768);
    __asm__ volatile("" ::"r"(&result) : "memory"); /* no tail call: the frame stays */
    return result;
}

int main(void)
{
    for (int odd = 0; odd < 32; odd++) {
        low = stack;
        high = stack + sizeof stack - odd;
        expected_old = getstacktop();
        CHECK(rctx_call(hook, &stack, high) == &low);
    }
    low = NULL;
    expected_old = getstacktop();
    CHECK(rctx_call(hook, &stack, NULL) == &low);
    CHECK(rctx_call(nested, NULL, stack + sizeof stack) == &low);
    END();
    return 0;
}
