/* sliced_exceptions.cc with link-time optimisation.
 *
 *     linkings: shared
 *     options: -O0 -O2
 *     compilers: gcc clang
 *     flags: -flto
 */
#include "sliced_exceptions.cc"
