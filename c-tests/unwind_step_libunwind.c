/* unwind_step.c with libunwind in place of libgcc's unwinder.
 *
 *     arch: x86_64
 *     native: yes
 *     linkings: shared
 *     options: -O2
 *     flags: -rdynamic -fasynchronous-unwind-tables -lunwind
 */
#define LIBUNWIND
#include "unwind_step.c"
