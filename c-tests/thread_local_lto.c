/* thread_local.c with link-time optimisation.
 *
 *     linkings: shared
 *     options: -O2 -O3
 *     compilers: gcc clang
 *     flags: -pthread -fPIC -flto
 */
#include "thread_local.c"
