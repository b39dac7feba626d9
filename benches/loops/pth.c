/* GNU Pth's user-space contexts. */
#include "loops.h"

#include <dlfcn.h>

typedef struct pth_uctx_st *pth_uctx_t;

static int (*pth_uctx_create)(pth_uctx_t *);
static int (*pth_uctx_make)(pth_uctx_t, char *, size_t, const void *mask, void (*)(void *), void *, pth_uctx_t);
static int (*pth_uctx_switch)(pth_uctx_t, pth_uctx_t);
static int (*pth_uctx_destroy)(pth_uctx_t);

int pth_is_present(void)
{
    /* Its calls go to the C library, not to the library that the process was started with. */
    void *pth = dlopen("libpth.so.20", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);

    if (!pth)
        return 0;
    pth_uctx_create = dlsym(pth, "pth_uctx_create");
    pth_uctx_make = dlsym(pth, "pth_uctx_make");
    pth_uctx_switch = dlsym(pth, "pth_uctx_switch");
    pth_uctx_destroy = dlsym(pth, "pth_uctx_destroy");
    MUST(pth_uctx_create && pth_uctx_make && pth_uctx_switch && pth_uctx_destroy);
    return 1;
}

struct pair {
    pth_uctx_t main, task;
};

static void swap_task(void *arg)
{
    struct pair *pair = arg;

    for (;;)
        pth_uctx_switch(pair->task, pair->main);
}

double pth_swap(size_t locals, size_t n)
{
    struct pair pair;
    char *stack = malloc(STACK_SIZE);
    double start;

    (void)locals;
    MUST(stack && pth_uctx_create(&pair.main) && pth_uctx_create(&pair.task));
    MUST(pth_uctx_make(pair.task, stack, STACK_SIZE, NULL, swap_task, &pair, NULL));
    MUST(pth_uctx_switch(pair.main, pair.task));
    start = now();
    for (size_t i = 0; i < n; i += 2)
        pth_uctx_switch(pair.main, pair.task);
    start = now() - start;
    pth_uctx_destroy(pair.task);
    pth_uctx_destroy(pair.main);
    free(stack);
    return start;
}

double pth_create(size_t locals, size_t n)
{
    struct pair pair;
    char *stack = fresh_stack();
    double start;

    (void)locals;
    MUST(pth_uctx_create(&pair.main));
    start = now();
    for (size_t i = 0; i < n; i++) {
        MUST(pth_uctx_create(&pair.task));
        MUST(pth_uctx_make(pair.task, stack, STACK_SIZE, NULL, swap_task, &pair, NULL));
        MUST(pth_uctx_switch(pair.main, pair.task));
        pth_uctx_destroy(pair.task);
    }
    start = now() - start;
    pth_uctx_destroy(pair.main);
    drop_stack(stack);
    return start;
}
