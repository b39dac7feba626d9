/* UndefinedBehaviorSanitizer says nothing of contexts, and still reports an overflow inside one.
 *
 *     native: yes
 *     linkings: shared archive
 *     options: -O2
 *     compilers: gcc clang
 *     flags: -fsanitize=undefined -pthread
 *     stderr:
 */
#include "watched.h"

static volatile int largest = INT32_MAX;

static void fault(void)
{
    largest++;
}

int main(void)
{
    watch_all();
    expect_report(fault, "signed integer overflow");
    END();
    return 0;
}
