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

int main(void)
{
    race();
    END();
    return 0;
}
