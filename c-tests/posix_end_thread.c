/* A function that returns to a null uc_link in another thread ends that thread alone, with its cleanups. (The
 * system's libc ends the process: it is no oracle here.)
 *
 *     linkings: shared static preload
 *     flags: -pthread
 *     compilers: gcc clang
 */
#include "check.h"

#include <pthread.h>

static pthread_key_t key;
static int entered, destroyed;
static char stacks[4][65536];

static void destroy(void *value)
{
    destroyed += value == &key;
}

static void enter(void)
{
    entered++;
}

static void *end_in_context(void *stack)
{
    ucontext_t context;

    CHECK(pthread_setspecific(key, &key) == 0);
    prepare(&context, stack, sizeof *stacks, NULL);
    makecontext(&context, enter, 0);
    setcontext(&context);
    CHECK(!"the thread goes on");
    return NULL;
}

int main(void)
{
    CHECK(pthread_key_create(&key, destroy) == 0);
    for (int i = 0; i < 4; i++) {
        pthread_t thread;

        CHECK(pthread_create(&thread, NULL, end_in_context, stacks[i]) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(entered == i + 1 && destroyed == i + 1);
    }
    END();
    return 0;
}
