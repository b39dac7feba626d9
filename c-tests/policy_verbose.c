/* RCTX_VERBOSE=1 prints one line at load: version, architecture, policy.
 *
 *     linkings: shared static
 *     environment: RCTX_VERBOSE=1 RCTX_SIGMASK=none
 *     stderr: rctx [0-9]+\.[0-9]+\.[0-9]+ [a-z0-9_]+,[^\n]* none\n
 */
#include "check.h"

#include <rctx.h>

int main(void)
{
    int major, minor, patch, end;

    CHECK(sscanf(rctx_version(), "%d.%d.%d%n", &major, &minor, &patch, &end) == 3);
    CHECK(rctx_version()[end] == '\0');
    END();
    return 0;
}
