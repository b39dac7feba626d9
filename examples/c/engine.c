/* An engine of its own on rctx_switch, in the shape of greenlet's, Stackless's and libtealet's: tasks begin wherever
 * they are started on the one stack, and only the bytes that another task is about to overwrite are copied away.
 * docs/engines.md explains it line by line.
 *
 *     valgrind: memcheck
 */
#include <rctx.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct task {
    char *near, *far;   /* its part of the stack; near is null while the task has not begun, and when it has ended */
    char *copy;         /* the first `saved` bytes from near on, when others use their place */
    size_t saved;
    struct task *older; /* the owner of the stack beyond far */
    void (*func)(void *);
    void *arg;
    struct task *parent; /* goes on when func returns */
};

static struct task main_task = {.far = (char *)-1}, *running = &main_task;
static size_t copied; /* bytes, in all: what laziness saves can be seen */

static int is_active(const struct task *task)
{
    return task->near || task == &main_task;
}

/* Copies what `task` has nearer than `stop`, as far as it was not copied before. */
static int save(struct task *task, const char *stop)
{
    size_t wanted = stop > task->near ? (size_t)(stop - task->near) : 0;
    char *copy;

    if (wanted <= task->saved)
        return 0;
    copy = realloc(task->copy, wanted);
    if (!copy)
        return -1;
    memcpy(copy + task->saved, task->near + task->saved, wanted - task->saved);
    copied += wanted - task->saved;
    task->copy = copy;
    task->saved = wanted;
    return 0;
}

/* Saves all that is nearer than the target's far end and is not the target's. */
static int save_for(struct task *target)
{
    struct task *owner = is_active(running) ? running : running->older;

    for (; owner->far < target->far; owner = owner->older)
        if (save(owner, owner->far) == -1)
            return -1;
    return owner == target ? 0 : save(owner, target->far);
}

static void restore(struct task *target)
{
    struct task *owner = is_active(running) ? running : running->older;

    if (target->saved)
        memcpy(target->near, target->copy, target->saved);
    target->saved = 0;
    while (owner && owner->far <= target->far)
        owner = owner->older;
    target->older = owner;
    running = target;
}

/* Both halves of the switch. There is no call between them, and the second one runs below the target's bytes. */
static void *hook(void *arg, int op, void *stacktop)
{
    struct task *target = arg;

    if (op == RCTX_SAVE) {
        if (is_active(running))
            running->near = stacktop;
        if (save_for(target) == -1) {
            perror("engine");
            abort();
        }
        return target->near ? target->near : stacktop; /* a new task begins right here */
    }
    if (!target->near)
        target->near = stacktop;
    restore(target);
    return target;
}

static void task_switch(struct task *target)
{
    if (target != running)
        rctx_switch(hook, target);
}

/* The frames of this function and of those that it calls are nearer than task->far. It goes on twice: as the new task
 * at once, and in the starter when somebody switches to that. */
__attribute__((noinline)) static void begin(struct task *task)
{
    if (rctx_switch(hook, task) != task)
        return; /* the starter */
    task->func(task->arg);
    running->near = NULL; /* ended: nothing of it is saved */
    free(running->copy);
    running->copy = NULL;
    rctx_switch(hook, running->parent);
    abort();
}

/* Starts a task at once, on the stack below the caller. */
__attribute__((noinline)) static void task_start(struct task *task, void (*func)(void *), void *arg)
{
    *task = (struct task){.func = func, .arg = arg, .parent = running, .far = getstacktop()};
    begin(task);
    __asm__ volatile(""); /* no tail call: this frame stays */
}

/* Three walkers hand over to one another from any depth of a recursion, each with bytes of its own in every frame. */

enum { WALKERS = 3, DEPTH = 12, ROUNDS = 4 };

static struct task walkers[WALKERS];
static int turns, wrong;

static void walk(int number, int depth)
{
    volatile unsigned char bytes[200];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(number * 31 + depth * 7 + i);
    turns++;
    task_switch(is_active(&walkers[(number + 1) % WALKERS]) ? &walkers[(number + 1) % WALKERS] : &main_task);
    if (depth < DEPTH)
        walk(number, depth + 1);
    for (size_t i = 0; i < sizeof bytes; i++)
        wrong += bytes[i] != (unsigned char)(number * 31 + depth * 7 + i);
}

static void walker(void *arg)
{
    int number = (int)(intptr_t)arg;

    task_switch(&main_task);
    for (int round = 0; round < ROUNDS; round++)
        walk(number, 0);
}

/* Starts the walkers at different depths of the stack, so that their parts of it overlap in every way. */
static void start_walkers(int number)
{
    volatile char room[1000];

    room[0] = 0;
    if (number < WALKERS) {
        task_start(&walkers[number], walker, (void *)(intptr_t)number);
        start_walkers(number + 1);
    }
    (void)room[0];
}

int main(void)
{
    start_walkers(0);
    for (int active = 1; active;) {
        active = 0;
        for (int number = 0; number < WALKERS; number++)
            if (is_active(&walkers[number])) {
                active = 1;
                task_switch(&walkers[number]);
            }
    }
    printf("%d turns of %d walkers, %d bytes wrong; %zu bytes copied a turn\n", turns, WALKERS, wrong,
           copied / (size_t)turns);
    free(main_task.copy);
    return turns == WALKERS * ROUNDS * (DEPTH + 1) && !wrong ? EXIT_SUCCESS : EXIT_FAILURE;
}
