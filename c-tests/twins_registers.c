/* posix_registers.c over the twins.
 *
 *     arch: x86_64
 *     linkings: shared static
 *     compilers: gcc clang
 */
#define _GNU_SOURCE
#include <rctx.h>

#define SWAPCONTEXT "rctx_swapcontext"
#define getcontext rctx_getcontext
#include "posix_registers.c"
