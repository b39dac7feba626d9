/* An allocator of the program's own, which the library then uses too: it counts its calls and fails when told.
 * It never gives memory back to the system, and reuses a block for requests of its class. */
#ifndef SLICED_MALLOC_H
#define SLICED_MALLOC_H

#include "check.h"

#include <stdatomic.h>

/* Calls that took memory, those that released some, and the blocks in use. */
static _Atomic unsigned long allocations, releases;
static _Atomic long blocks_in_use;
/* Fails the call that brings this to 0; negative: fails none. `fail_on` fails all later ones as well. */
static _Atomic long fail_at = -1;
static _Atomic int fail_on, failures;

enum { ARENA = 64 << 20, CLASSES = 48, HEADER = 16 };

static _Alignas(16) char arena[ARENA];
static size_t arena_used;
static void *free_blocks[CLASSES];
static _Atomic int arena_lock;

static unsigned class_of(size_t size)
{
    unsigned class = 5;
    while (((size_t)1 << class) < size + HEADER)
        class++;
    return class;
}

static void *take_block(size_t size)
{
    unsigned class;
    char *block;

    if (size > ARENA)
        return NULL;
    class = class_of(size);
    while (atomic_exchange(&arena_lock, 1))
        ;
    block = free_blocks[class];
    if (block) {
        free_blocks[class] = *(void **)(block + HEADER);
    } else if (arena_used + ((size_t)1 << class) <= ARENA) {
        block = arena + arena_used;
        arena_used += (size_t)1 << class;
        *(size_t *)block = class;
    }
    atomic_store(&arena_lock, 0);
    if (!block)
        return NULL;
    blocks_in_use++;
    return block + HEADER;
}

/* Not in malloc itself: compilers make a calloc out of malloc and memset, inside calloc too. */
static void *allocate(size_t size)
{
    void *block = NULL;

    allocations++;
    if (fail_at < 0 || fail_at-- > 0) {
        block = take_block(size);
    } else {
        failures++;
        fail_at = fail_on ? 0 : -1;
    }
    if (!block)
        errno = ENOMEM;
    return block;
}

void *malloc(size_t size)
{
    return allocate(size);
}

void free(void *memory)
{
    char *block = (char *)memory - HEADER;
    size_t class;

    if (!memory)
        return;
    releases++;
    blocks_in_use--;
    class = *(size_t *)block;
    memset(memory, 0xdd, ((size_t)1 << class) - HEADER); /* whoever still uses it shall notice */
    while (atomic_exchange(&arena_lock, 1))
        ;
    *(void **)memory = free_blocks[class];
    free_blocks[class] = block;
    atomic_store(&arena_lock, 0);
}

void *calloc(size_t count, size_t size)
{
    size_t total;
    void *block;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    block = allocate(total);
    return block ? memset(block, 0, total) : NULL;
}

void *realloc(void *memory, size_t size)
{
    size_t had = memory ? ((size_t)1 << *(size_t *)((char *)memory - HEADER)) - HEADER : 0;
    void *block;

    if (memory && size <= had)
        return memory;
    block = allocate(size);
    if (block && memory) {
        memcpy(block, memory, had);
        free(memory);
    }
    return block;
}

/* The C library asks for aligned memory when it makes a thread. Of a released one a small piece is used again. */
void *memalign(size_t alignment, size_t size)
{
    char *block = allocate(size + alignment + HEADER);

    if (!block)
        return NULL;
    block += alignment - (uintptr_t)block % alignment;
    *(size_t *)(block - HEADER) = 5;
    return block;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
#endif
