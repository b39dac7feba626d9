/* librctx-track.so that comes by dlopen stands behind the C library: the policy stays `posix`, and says so. (musl does
 * not load it then.)
 *
 *     linkings: shared
 *     libc: gnu
 *     options: -O2
 *     environment: RCTX_VERBOSE=1 RCTX_SIGMASK=track
 *     stderr: (?s).*until librctx-track.so is loaded\n.*posix: librctx-track.so was loaded behind the C library.*
 */
#include "check.h"

#include <dlfcn.h>
#include <rctx.h>

int main(void)
{
    CHECK(rctx_sigmask(RCTX_SIGMASK_TRACK) == RCTX_SIGMASK_POSIX);
    CHECK(dlopen("librctx-track.so.0", RTLD_NOW | RTLD_GLOBAL));
    CHECK(rctx_sigmask(RCTX_SIGMASK_TRACK) == RCTX_SIGMASK_POSIX);
    CHECK(rctx_sigmask(RCTX_SIGMASK_NONE) == RCTX_SIGMASK_POSIX);
    CHECK(rctx_sigmask(RCTX_SIGMASK_POSIX) == RCTX_SIGMASK_NONE);
    END();
}
