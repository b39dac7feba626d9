/* What callgrind is asked for. */
#include "loops.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS ((void)0)
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#define IMPOSSIBLE 1
#endif

int count_is_possible(void)
{
#ifdef IMPOSSIBLE
    return 0;
#else
    return 1;
#endif
}

/* Starts to count from zero. */
void count_begin(void)
{
    CALLGRIND_ZERO_STATS;
}

/* Writes a file of what was counted, which bears the name. */
void count_end(const char *name)
{
    CALLGRIND_DUMP_STATS_AT(name);
}
