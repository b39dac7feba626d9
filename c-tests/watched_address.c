/* AddressSanitizer says nothing of contexts, and still reports an overflow inside one.
 *
 *     native: yes
 *     linkings: shared archive
 *     options: -O0 -O2
 *     compilers: gcc clang
 *     flags: -fsanitize=address -pthread
 *     stderr: (==[0-9]+==WARNING: ASan doesn't fully support makecontext/swapcontext .*\n)?
 */
#include "watched.h"

/* Leaks are another program's business: what a stack without a context holds is none of its. */
const char *__asan_default_options(void);
#ifndef OPTIONS
#define OPTIONS "detect_stack_use_after_return=0"
#endif
const char *__asan_default_options(void)
{
    return OPTIONS ":detect_leaks=0";
}

static __attribute__((noinline)) void overflow(volatile char *array, size_t index)
{
    array[index] = 1;
}

static void fault(void)
{
    volatile char array[8];

    overflow(array, sizeof array);
}

static char *volatile kept;

static __attribute__((noinline)) void keep_local(void)
{
    volatile char local[16]; /* clang leaves frames with inline assembly where they are */

    local[3] = 0;
    kept = (char *)local;
}

static void use_after_return(void)
{
    keep_local();
    kept[3] = 1;
}

int main(void)
{
    watch_all();
    expect_report(fault, "stack-buffer-overflow");
    if (strstr(OPTIONS, "return=1"))
        expect_report(use_after_return, "stack-use-after-return");
    END();
    return 0;
}
