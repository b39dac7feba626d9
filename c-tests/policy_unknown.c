/* An unknown policy in the environment is one line on stderr, and `posix`.
 *
 *     linkings: shared static
 *     environment: RCTX_SIGMASK=noone
 *     stderr: [^\n]*RCTX_SIGMASK=noone[^\n]*posix[^\n]*\n
 */
#include "check.h"

#include <rctx.h>

int main(void)
{
    CHECK(rctx_sigmask(RCTX_SIGMASK_NONE) == RCTX_SIGMASK_POSIX);
    END();
    return 0;
}
