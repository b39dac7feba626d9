/* What is saved into may hold anything before, and nothing around it is written: nor, inside it, what lies
 * behind the eight bytes of the kernel's signal mask, and the field that older programs do not have.
 *
 *     linkings: shared static preload
 *     compilers: gcc clang
 *     valgrind: memcheck
 */
#include "check.h"

#include <signal.h>
#include <stddef.h>

enum { GUARD = 256 };

static struct {
    unsigned char before[GUARD];
    ucontext_t context;
    unsigned char after[GUARD];
} guarded[2];
static char stack[65536];

static void check_poison(const void *from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        CHECK(((const unsigned char *)from)[i] == 0xa5);
}

static void check_guards(void)
{
    for (int i = 0; i < 2; i++) {
        ucontext_t *ucp = &guarded[i].context;

        check_poison(guarded[i].before, GUARD);
        check_poison(guarded[i].after, GUARD);
        check_poison((char *)&ucp->uc_sigmask + 8, sizeof ucp->uc_sigmask - 8);
#if defined __x86_64__ && defined __GLIBC__
        enum { OLD_SIZE = 936 }; /* sizeof(ucontext_t) before glibc 2.28 */
        _Static_assert(sizeof *ucp > OLD_SIZE, "there is a field more");
        check_poison((char *)ucp + OLD_SIZE, sizeof *ucp - OLD_SIZE);
#endif
    }
}

static void inside(void)
{
    check_guards();
    memset(&guarded[1].context, 0xa5, sizeof guarded[1].context);
    CHECK(swapcontext(&guarded[1].context, &guarded[0].context) == 0);
}

int main(void)
{
    memset(guarded, 0xa5, sizeof guarded);
    prepare(&guarded[1].context, stack, sizeof stack, &guarded[0].context);
    check_guards();
    makecontext(&guarded[1].context, inside, 0);
    check_guards();
    for (int i = 0; i < 2; i++) {
        memset(&guarded[0].context, 0xa5, sizeof guarded[0].context);
        CHECK(swapcontext(&guarded[0].context, &guarded[1].context) == 0);
        check_guards();
    }
    END();
    return 0;
}
