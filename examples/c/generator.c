/* A generator: a recursive walk over a tree that hands out one value at a time, from as deep as it is. */
#include <rctx.h>
#include <stdio.h>
#include <stdlib.h>

struct generator {
    ucontext_t context, consumer;
    const ucontext_t *base;
    void (*produce)(struct generator *, void *);
    void *argument;
    int value, done;
};

static void must(int status, const char *what)
{
    if (status == -1) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void begin(void *argument)
{
    struct generator *generator = argument;

    generator->produce(generator, generator->argument);
    generator->done = 1; /* and back to the consumer, through uc_link */
}

/* `base` was captured by the caller in a frame that stays active as long as the generator is in use. */
static struct generator *generator_new(const ucontext_t *base, void (*produce)(struct generator *, void *),
                                       void *argument)
{
    struct generator *generator = calloc(1, sizeof *generator);

    if (!generator)
        must(-1, "calloc");
    generator->base = base;
    generator->produce = produce;
    generator->argument = argument;
    generator->context.uc_link = &generator->consumer;
    must(rctx_makecontext_sliced(&generator->context, base, begin, generator), "make");
    return generator;
}

/* Runs the producer up to its next value. Returns whether there was one. */
static int generator_next(struct generator *generator, int *value)
{
    if (generator->done)
        return 0;
    must(rctx_swapcontext_sliced(&generator->consumer, &generator->context, generator->base), "next");
    *value = generator->value;
    return !generator->done;
}

static void yield(struct generator *generator, int value)
{
    generator->value = value;
    must(rctx_swapcontext_sliced(&generator->context, &generator->consumer, generator->base), "yield");
}

static void generator_free(struct generator *generator)
{
    rctx_freecontext(&generator->context);
    rctx_freecontext(&generator->consumer);
    free(generator);
}

struct tree {
    struct tree *left, *right;
    int value;
};

static struct tree *insert(struct tree *tree, int value)
{
    if (!tree) {
        tree = calloc(1, sizeof *tree);
        if (!tree)
            must(-1, "calloc");
        tree->value = value;
    } else if (value < tree->value) {
        tree->left = insert(tree->left, value);
    } else {
        tree->right = insert(tree->right, value);
    }
    return tree;
}

static void walk(struct generator *generator, void *argument)
{
    struct tree *tree = argument;

    if (!tree)
        return;
    walk(generator, tree->left);
    yield(generator, tree->value);
    walk(generator, tree->right);
}

static void free_tree(struct tree *tree)
{
    if (tree) {
        free_tree(tree->left);
        free_tree(tree->right);
        free(tree);
    }
}

/* Two walks side by side: merges two trees in order. */
static int merge(const ucontext_t *base, struct tree *first, struct tree *second)
{
    struct generator *a = generator_new(base, walk, first), *b = generator_new(base, walk, second);
    int from_a = 0, from_b = 0, has_a = generator_next(a, &from_a), has_b = generator_next(b, &from_b);
    int last = 0, count = 0;

    while (has_a || has_b) {
        int value;

        if (has_a && (!has_b || from_a <= from_b)) {
            value = from_a;
            has_a = generator_next(a, &from_a);
        } else {
            value = from_b;
            has_b = generator_next(b, &from_b);
        }
        printf("%d ", value);
        if (value < last)
            exit(EXIT_FAILURE);
        last = value;
        count++;
    }
    putchar('\n');
    generator_free(a);
    generator_free(b);
    return count;
}

static int run(const ucontext_t *base)
{
    static const int some[] = {50, 20, 80, 10, 30, 70, 90}, others[] = {45, 15, 75, 5, 35, 65, 95, 99};
    const int expected = sizeof some / sizeof *some + sizeof others / sizeof *others;
    struct tree *first = NULL, *second = NULL;
    int count;

    for (size_t index = 0; index < sizeof some / sizeof *some; index++)
        first = insert(first, some[index]);
    for (size_t index = 0; index < sizeof others / sizeof *others; index++)
        second = insert(second, others[index]);
    count = merge(base, first, second);
    free_tree(first);
    free_tree(second);
    return count == expected ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(void)
{
    static ucontext_t base;

    must(getcontext(&base), "getcontext"); /* older frames than this one are shared */
    return run(&base);
}
