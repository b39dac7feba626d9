/* posix_bad_input.c over the twins.
 *
 *     linkings: shared static
 */
#include <rctx.h>

#define getcontext rctx_getcontext
#define setcontext rctx_setcontext
#define swapcontext rctx_swapcontext
#include "posix_bad_input.c"
