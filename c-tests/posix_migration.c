/* Thousands of contexts move at random between dozens of threads: a thread takes any that is suspended, resumes it,
 * and puts it back. Each finds its locals, and what it computed in registers, as it left them. The number of
 * switches can be given.
 *
 *     linkings: shared static preload oracle track
 *     flags: -pthread
 */
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>

enum { THREADS = 64, CONTEXTS = 10000, STACK = 16384, FRAME = 96 };

static struct task {
    ucontext_t context, *worker; /* the thread's that resumed it last */
    unsigned long rounds;
} *tasks;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned suspended[CONTEXTS];
static unsigned count;
static unsigned long switches = 100000, moves;

__attribute__((noinline)) static uint64_t step(struct task *task, uint64_t value)
{
    volatile uint64_t words[FRAME];

    for (int i = 0; i < FRAME; i++)
        words[i] = value + (uint64_t)i;
    CHECK(swapcontext(&task->context, task->worker) == 0);
    for (int i = 0; i < FRAME; i++)
        CHECK(words[i] == value + (uint64_t)i);
    return value;
}

static void work(int number)
{
    struct task *task = &tasks[number];
    uint64_t value = (uint64_t)number << 32, sum = 0;
    double half = number + 0.5;

    for (;;) {
        sum += step(task, value++);
        half += 0.5;
        task->rounds++;
        /* The sum of consecutive numbers. */
        CHECK(sum == task->rounds * ((uint64_t)number << 32) + task->rounds * (task->rounds - 1) / 2);
        CHECK(half == number + 0.5 + task->rounds * 0.5);
    }
}

/* Takes a suspended context at random. */
static struct task *take(uint64_t *state)
{
    struct task *task = NULL;

    CHECK(pthread_mutex_lock(&lock) == 0);
    if (moves < switches / 2) {
        unsigned place;

        *state = *state * 6364136223846793005u + 1442695040888963407u;
        place = (unsigned)((*state >> 33) % count);
        task = &tasks[suspended[place]];
        suspended[place] = suspended[--count];
        moves++;
    }
    CHECK(pthread_mutex_unlock(&lock) == 0);
    return task;
}

static void give_back(struct task *task)
{
    CHECK(pthread_mutex_lock(&lock) == 0);
    suspended[count++] = (unsigned)(task - tasks);
    CHECK(pthread_mutex_unlock(&lock) == 0);
}

static void *run(void *seed)
{
    uint64_t state = (uint64_t)(uintptr_t)seed;
    ucontext_t here;

    for (struct task *task; (task = take(&state)); give_back(task)) {
        task->worker = &here;
        CHECK(swapcontext(&here, &task->context) == 0);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static pthread_t threads[THREADS];
    unsigned long rounds = 0;
    char *stacks;

    if (argc > 1)
        switches = strtoul(argv[1], NULL, 10);
    seed_random();
    tasks = calloc(CONTEXTS, sizeof *tasks);
    stacks = mmap(NULL, (size_t)CONTEXTS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(tasks && stacks != MAP_FAILED);
    for (int i = 0; i < CONTEXTS; i++) {
        prepare(&tasks[i].context, stacks + (size_t)i * STACK, STACK, NULL);
        makecontext(&tasks[i].context, (void (*)(void))work, 1, i);
        suspended[count++] = (unsigned)i;
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)next_random()) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < CONTEXTS; i++)
        rounds += tasks[i].rounds;
    /* A context's first resume is not a round yet. */
    CHECK(count == CONTEXTS && moves == switches / 2 && rounds <= moves && rounds + CONTEXTS >= moves);
    printf("%lu switches\n", 2 * moves);
    END();
}
