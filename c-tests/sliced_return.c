/* sliced_asan.c with locals on the sanitizer's heap, and no slice that is resumed twice.
 *
 *     native: yes
 *     linkings: shared
 *     options: -O0 -O1 -O2
 *     compilers: gcc clang
 *     flags: -fsanitize=address
 */
#define USE_AFTER_RETURN 1
#include "sliced_asan.c"
