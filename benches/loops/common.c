/* Stacks, time and memory. */
#include "loops.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The time that this thread has run: what other processes take of its CPU meanwhile is not counted. */
double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

char *fresh_stack(void)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, guard + STACK_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

    MUST(map != MAP_FAILED && mprotect(map, guard, PROT_NONE) == 0);
    return map + guard;
}

void drop_stack(char *stack)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);

    MUST(munmap(stack - guard, guard + STACK_SIZE) == 0);
}

size_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t total, pages;

    MUST(file && fscanf(file, "%zu %zu", &total, &pages) == 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* What no slice can undercut: its bytes to the heap, and another's from the heap to the stack. */
double loop_memcpys(size_t len, size_t n)
{
    void *(*volatile load)(void *, const void *, size_t) = memcpy;
    void *(*copy)(void *, const void *, size_t) = load;
    char *heap[2] = {malloc(len), malloc(len)};
    char stack[len];
    double start;

    MUST(heap[0] && heap[1]);
    memset(stack, 1, len);
    memset(heap[0], 1, len);
    memset(heap[1], 1, len);
    start = now();
    for (size_t i = 0; i < n; i++) {
        copy(heap[i & 1], stack, len);
        copy(stack, heap[~i & 1], len);
    }
    start = now() - start;
    free(heap[0]);
    free(heap[1]);
    return start;
}
