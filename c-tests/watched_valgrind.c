/* Valgrind's memcheck and helgrind say nothing of contexts whose stacks the program does not register.
 *
 *     linkings: shared archive
 *     flags: -pthread
 *     valgrind: memcheck helgrind
 *     stderr:
 */
#define LOCAL_STACK 0 /* valgrind knows stacks that lie apart, not one inside another */
#include "watched.h"

int main(void)
{
    watch_all();
    END();
    return 0;
}
