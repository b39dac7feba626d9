/* rctx_switch between two stacks, no byte copied. */
#include "loops.h"

struct switched {
    void *other; /* the stack pointer of whoever does not run */
    char *stack, *image;
    int capturing;
    size_t image_len;
};

/* Exchanges the stack pointers. */
static void *exchange(void *arg, int op, void *stacktop)
{
    struct switched *state = arg;
    void *target = state->other;

    if (op == 0) /* RCTX_SAVE */
        state->other = stacktop;
    else
        target = NULL;
    return op == 0 ? target : arg;
}

/* Keeps an image of the new stack as it is at its first switch, because the frames that follow it there are
 * those of a call that returns. */
static void *keep_image(void *arg, int op, void *stacktop)
{
    struct switched *state = arg;

    if (op == 0 && state->capturing) {
        state->other = stacktop;
        state->image_len = (size_t)(state->stack + STACK_SIZE - (char *)stacktop);
        state->image = malloc(state->image_len);
        MUST(state->image);
        memcpy(state->image, stacktop, state->image_len);
        return stacktop;
    }
    if (state->capturing) {
        state->capturing = 0;
        return NULL;
    }
    return arg;
}

static void *put_image(void *arg, int op, void *stacktop)
{
    struct switched *state = arg;

    if (op == 0)
        return exchange(arg, op, stacktop);
    memcpy(stacktop, state->image, state->image_len);
    return arg;
}

static void *switch_task(void *arg, int op, void *stacktop)
{
    void *(*volatile sw)(hook_t *, void *) = rctx_switch;

    (void)op, (void)stacktop;
    if (!sw(keep_image, arg))
        return NULL;
    for (void *(*hot)(hook_t *, void *) = rctx_switch;;)
        hot(exchange, arg);
}

double rctx_switch_swap(size_t n)
{
    void *(*sw)(hook_t *, void *) = rctx_switch;
    struct switched state = {.stack = malloc(STACK_SIZE), .capturing = 1};
    double start;

    MUST(state.stack);
    rctx_call(switch_task, &state, state.stack + STACK_SIZE);
    sw(put_image, &state);
    start = now();
    for (size_t i = 0; i < n; i += 2)
        sw(exchange, &state);
    start = now() - start;
    free(state.image);
    free(state.stack);
    return start;
}
