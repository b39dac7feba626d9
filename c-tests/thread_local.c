/* A context that goes from thread to thread finds the running thread's variables through the accessor of
 * docs/threads.md, errno as well. How often the compiler's own access is wrong is printed: it is allowed to be.
 *
 *     options: -O0 -O2 -O3
 *     compilers: gcc clang
 *     flags: -pthread
 */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <semaphore.h>

enum { THREADS = 20, ROUNDS = 3 };

static __thread int number;
static volatile int running; /* the number of the thread that runs the context */
static ucontext_t task, threads;
static unsigned wrong;

__attribute__((noinline)) static int *own_number(void)
{
    int *address = &number;

    __asm__ volatile("" : "+r"(address));
    return address;
}

__attribute__((noinline)) static int *own_errno(void)
{
    int *address = &errno;

    __asm__ volatile("" : "+r"(address));
    return address;
}

static void work(void)
{
    for (;;) {
        CHECK(*own_number() == running && *own_errno() == running);
        number = errno = running; /* through an address that may be kept */
        CHECK(swapcontext(&task, &threads) == 0);
        CHECK(*own_number() == running && *own_errno() == running);
        wrong += number != running;
        wrong += errno != running;
    }
}

static sem_t turns[THREADS];
static pthread_barrier_t end;

/* All threads are there until the end, so that each has an address of its own, which stays valid. */
static void *resume(void *arg)
{
    const int index = (int)(intptr_t)arg;

    for (int round = 0; round < ROUNDS; round++) {
        CHECK(sem_wait(&turns[index]) == 0);
        running = *own_number() = *own_errno() = index + 1;
        CHECK(swapcontext(&threads, &task) == 0);
        CHECK(sem_post(&turns[(index + 1) % THREADS]) == 0);
    }
    pthread_barrier_wait(&end);
    return NULL;
}

int main(void)
{
    static char stack[65536];
    pthread_t ids[THREADS];

    prepare(&task, stack, sizeof stack, NULL);
    makecontext(&task, work, 0);
    CHECK(pthread_barrier_init(&end, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(sem_init(&turns[i], 0, i == 0) == 0);
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&ids[i], NULL, resume, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(ids[i], NULL) == 0);
    printf("the compiler's own access was another thread's %u times of %d\n", wrong, 2 * (THREADS * ROUNDS - 1));
    END();
}
