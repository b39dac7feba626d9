/* watched_address.c with locals on the sanitizer's fake stacks, of which every stack of ours has its own.
 *
 *     native: yes
 *     linkings: shared archive
 *     options: -O0 -O2
 *     compilers: gcc clang
 *     flags: -fsanitize=address -pthread
 *     stderr: (==[0-9]+==WARNING: ASan doesn't fully support makecontext/swapcontext .*\n)?
 */
#define OPTIONS "detect_stack_use_after_return=1"
#include "watched_address.c"
