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

int main(void)
{
    expect_report(race, "data race");
    watch_all();
    END();
    return 0;
}
