/* unwind_step.c with the unwinder of LLVM, which programs for musl have here.
 *
 *     arch: loongarch64
 *     libc: musl
 *     linkings: shared
 *     options: -O2
 *     flags: -rdynamic -fasynchronous-unwind-tables
 */
#include "unwind_step.c"
