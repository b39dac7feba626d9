/* thread_local.c with link-time optimisation, and with addresses that are asked for by a call (-fPIC).
 *
 *     linkings: shared
 *     options: -O2 -O3
 *     compilers: gcc clang
 *     flags: -pthread -fPIC -flto
 */
#include "thread_local.c"
