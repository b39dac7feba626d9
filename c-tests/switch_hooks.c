/* rctx_switch as an engine uses it: two stack pointers on one stack, the bytes between them and a far end moved
 * by the hook; and without a switch, and with every callee-saved register poisoned by the hook.
 *
 *     linkings: shared static
 *     flags: -lm
 *     valgrind: memcheck
 */
#include "check.h"

#include <fenv.h>
#include <rctx.h>

struct task {
    void *near;
    size_t length;
    char bytes[65536];
};

struct transfer {
    struct task *from, *to;
};

static char *far_end; /* frames beyond are shared */
static struct task host, guest;
static int started, turns;

static void *move(void *argument, int op, void *stacktop)
{
    struct transfer *transfer = argument;

    CHECK((uintptr_t)stacktop % 16 == 0);
    if (op == RCTX_SAVE) {
        if (transfer->from) {
            transfer->from->near = stacktop;
            transfer->from->length = (size_t)(far_end - (char *)stacktop);
            CHECK(transfer->from->length <= sizeof transfer->from->bytes);
            memcpy(transfer->from->bytes, stacktop, transfer->from->length);
        }
        return transfer->to ? transfer->to->near : stacktop;
    }
    CHECK(op == RCTX_RESTORE);
    if (transfer->to)
        memcpy(stacktop, transfer->to->bytes, transfer->to->length);
    return transfer;
}

static struct transfer to_guest = {&host, &guest}, to_host = {&guest, &host};

__attribute__((noinline)) static void deep(int level)
{
    volatile char frame[512];

    memset((void *)frame, level, sizeof frame);
    if (level)
        deep(level - 1);
    else
        for (int i = 0; i < 100; i++) {
            turns++;
            CHECK(rctx_switch(move, &to_host) == &to_guest);
        }
    for (size_t i = 0; i < sizeof frame; i++)
        CHECK(frame[i] == (char)level);
}

/* Suspends the host, goes on as the guest on the same bytes of the stack. */
__attribute__((noinline)) static void start(void)
{
    static struct transfer to_nobody = {&host, NULL};

    if (rctx_switch(move, &to_nobody) == &to_nobody && !started) {
        started = 1;
        fesetround(FE_UPWARD);
        deep(20);
        CHECK(!"the guest has no caller");
    }
}

__attribute__((noinline)) static void swap_with_guest(void)
{
    volatile double held = 0.5 + turns;
    int before = turns;

    CHECK(rctx_switch(move, &to_guest) == &to_host);
    CHECK(turns == before + 1 && held == 0.5 + before);
    CHECK(fegetround() == FE_TONEAREST);
}

static void *same(void *argument, int op, void *stacktop)
{
    static void *top;

    CHECK(argument == &top || argument == NULL);
    if (op == RCTX_SAVE)
        top = stacktop;
    CHECK(stacktop == top);
    return op == RCTX_SAVE ? stacktop : (void *)&top;
}

int main(void)
{
    char anchor[64];

    far_end = anchor;
    CHECK(rctx_switch(same, NULL) != NULL);
    CHECK(stack_direction() == -1);
    CHECK((char *)getstacktop() < anchor + sizeof anchor);
    start();
    CHECK(started && turns == 1); /* resumed by the guest's first switch */
    for (int i = 0; i < 99; i++)
        swap_with_guest();
    END();
    return 0;
}
