/* Sequences of calls of the public functions, in whatever order and with whatever structures, for libFuzzer: `make
 * fuzz`. Each input is a program, read as it runs; a model says what every call must answer.
 *
 * A call whose outcome the contract leaves open, because it is given bytes that no save wrote, is made in a child,
 * where it may go on anywhere: but when it answers -1, errno is one of the contract's and nothing has changed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <rctx.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTEXTS = 4, HANDLES = 2, STACK = 16 * 1024, BUFFER = 8 * 1024, GUARD = 64, POISON = 0xa5 };

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: failed: %s (errno %d)\n", __FILE__, __LINE__, #condition,     \
                    errno);                                                                       \
            abort();                                                                              \
        }                                                                                         \
    } while (0)

/* What is known of a context. */
enum state {
    UNKNOWN,  /* bytes that no save wrote: whatever comes of it */
    REFUSED,  /* every resume answers -1 and `error` */
    OWN,      /* suspended, or fresh, on a stack of its own */
    SLICED,   /* the same with a slice */
    FINISHED, /* its function has returned: the caller's to avoid */
};

static struct guarded {
    unsigned char before[GUARD];
    ucontext_t context;
    unsigned char after[GUARD];
    enum state state;
    int error, turns;
} pool[CONTEXTS];
static unsigned char stacks[CONTEXTS][GUARD + STACK + GUARD] __attribute__((aligned(16)));
static unsigned char buffers[CONTEXTS][BUFFER];
static rctx_slice_t *handles[HANDLES], *handle_home;
static ucontext_t home, base;
static int running, turns_left;

static const uint8_t *input, *input_end;

static unsigned next(void)
{
    return input < input_end ? *input++ : 0;
}

static uint64_t next_word(void)
{
    uint64_t word = 0;

    for (int byte = 0; byte < 8; byte++)
        word = word << 8 | next();
    return word;
}

static int is_known_error(int error)
{
    return error == EINVAL || error == ENOMEM || error == EFAULT;
}

static void check_guards(void)
{
    for (int index = 0; index < CONTEXTS; index++)
        for (int byte = 0; byte < GUARD; byte++) {
            CHECK(pool[index].before[byte] == POISON && pool[index].after[byte] == POISON);
            CHECK(stacks[index][byte] == POISON && stacks[index][GUARD + STACK + byte] == POISON);
        }
}

/* What every context runs: some turns, each of which ends in a switch home, and then a return to uc_link. */
static void task(void *argument)
{
    struct guarded *self = argument;
    volatile unsigned char room[200];

    memset((unsigned char *)room, (int)(self - pool), sizeof room);
    while (self->turns-- > 0) {
        int status = self->state == SLICED
                         ? rctx_swapcontext_sliced(&self->context, &home, &base)
                     : self->turns % 2 ? swapcontext(&self->context, &home)
                                       : rctx_swapcontext(&self->context, &home);

        CHECK(status == 0 || (self->state == SLICED && errno == ENOMEM)); /* the caller's buffer is full */
        for (size_t index = 0; index < sizeof room; index++)
            CHECK(room[index] == (unsigned char)(self - pool));
        self = &pool[running];
    }
    self->state = FINISHED;
}

static void handle_task(void *argument)
{
    rctx_slice_t **self = argument;
    volatile unsigned char room[300];

    memset((unsigned char *)room, 0x5a, sizeof room);
    while (turns_left-- > 0) {
        CHECK(rctx_slice_swap(self, handle_home, &base) == 0);
        for (size_t index = 0; index < sizeof room; index++)
            CHECK(room[index] == 0x5a);
    }
    rctx_slice_free(*self);
    *self = NULL;
    rctx_slice_swap(NULL, handle_home, &base);
    abort();
}

static struct guarded *pick(void)
{
    return &pool[next() % CONTEXTS];
}

static void forget(struct guarded *it)
{
    if (it->state != UNKNOWN)
        rctx_freecontext(&it->context);
    memset(&it->context, 0, sizeof it->context);
    it->state = REFUSED;
    it->error = EINVAL;
}

/* One of the calls that resume, or that save and resume. */
static int resume(unsigned how, ucontext_t *into, const ucontext_t *ucp)
{
    switch (how % 6) {
    case 0:
        return swapcontext(into, ucp);
    case 1:
        return rctx_swapcontext(into, ucp);
    case 2:
        return swapcontext_sliced(into, ucp, NULL);
    case 3:
        return rctx_swapcontext_sliced(into, ucp, &base);
    case 4:
        return setcontext(ucp);
    default:
        return rctx_setcontext(ucp);
    }
}

static void expect_failure(unsigned how, const ucontext_t *ucp, int error)
{
    static ucontext_t into, before; /* not in the frame, which would be saved into itself */
    sigset_t mask, mask_before;

    memset(&into, 0, sizeof into);
    before = into;
    sigprocmask(SIG_SETMASK, NULL, &mask_before);
    errno = 0;
    CHECK(resume(how, &into, ucp) == -1);
    CHECK(error ? errno == error : is_known_error(errno));
    CHECK(memcmp(&into, &before, sizeof into) == 0);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int signal = 1; signal < 32; signal++)
        CHECK(sigismember(&mask, signal) == sigismember(&mask_before, signal));
}

/* In a child, which may end in whatever way but by a check. */
static void try_in_child(unsigned how, struct guarded *it, struct guarded *other)
{
    enum { CHECKED = 77 };
    pid_t child = fork();
    int status;

    if (child == 0) {
        ucontext_t before = it->context;

        for (int signal = 1; signal < 32; signal++)
            sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        ualarm(5000, 0);
        errno = 0;
        if (how < 6 ? resume(how, &home, &it->context) == -1
                    : rctx_copycontext(&other->context, &it->context) == -1) {
            int good = is_known_error(errno) && memcmp(&before, &it->context, sizeof before) == 0;

            _exit(good ? 0 : CHECKED);
        }
        _exit(0);
    }
    CHECK(child > 0);
    while (waitpid(child, &status, 0) != child)
        CHECK(errno == EINTR); /* libFuzzer's own alarm */
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != CHECKED);
}

static void resume_known(unsigned how, struct guarded *it)
{
    static volatile int came_back; /* not in the frame, which a slice brings back as it was */

    came_back = 0;
    running = (int)(it - pool);
    if (how % 6 < 4) {
        /* Saved without a slice, the frames nearer than the base would be lost. */
        CHECK(resume(it->state == SLICED ? 3 : how, &home, &it->context) == 0);
        return;
    }
    /* Slices are resumed from a capture with one: the running frames are overwritten. */
    if (it->state == SLICED)
        CHECK(rctx_getcontext_sliced(&home, &base) == 0);
    else
        CHECK(rctx_getcontext(&home) == 0);
    if (came_back++ == 0)
        resume(how, NULL, &it->context);
}

static void make_own(struct guarded *it)
{
    unsigned shape = next();
    unsigned char *low = stacks[it - pool] + GUARD;
    size_t size = STACK;
    int argc = 1, error = 0;
    void (*function)(void) = (void (*)(void))task;

    forget(it);
    if (shape & 1)
        CHECK((shape & 2 ? getcontext(&it->context) : rctx_getcontext(&it->context)) == 0);
    else
        memset(&it->context, (int)next(), sizeof it->context);
    switch (shape >> 2 & 7) {
    case 0:
        low = NULL, error = EINVAL;
        break;
    case 1:
        size = 0, error = EINVAL;
        break;
    case 2:
        size = next() % 8, error = size ? ENOMEM : EINVAL;
        break;
    case 3:
        function = NULL, error = EINVAL;
        break;
    case 4:
        argc = -1 - (int)next(), error = EINVAL;
        break;
    case 5:
        argc = STACK + (int)next(), error = ENOMEM;
        break;
    }
    it->context.uc_stack = (stack_t){.ss_sp = low, .ss_size = size};
    it->context.uc_link = &home;
    it->turns = (int)(next() % 4);
    makecontext(&it->context, function, argc, it);
    it->state = error ? REFUSED : OWN;
    it->error = error;
}

static void make_sliced(struct guarded *it)
{
    unsigned shape = next();
    int error = 0;

    forget(it);
    if (shape & 1) {
        size_t size = next_word() % BUFFER;

        it->context.uc_stack = (stack_t){.ss_sp = buffers[it - pool] + next() % 16, .ss_size = size % (BUFFER - 16)};
        if (size % (BUFFER - 16) < RCTX_SLICE_OVERHEAD + 512)
            error = -1; /* maybe too small */
    }
    it->context.uc_link = &home;
    it->turns = (int)(next() % 4);
    errno = 0;
    if (rctx_makecontext_sliced(&it->context, &base, shape & 2 ? task : NULL, it) == -1) {
        CHECK(errno == (shape & 2 ? ENOMEM : error ? errno : EINVAL));
        CHECK(is_known_error(errno));
        return;
    }
    CHECK(shape & 2);
    it->state = SLICED;
}

static void step(void)
{
    unsigned how = next(), what = next() % 16;
    struct guarded *it = pick();
    stack_t stack;

    switch (what) {
    case 0: /* arbitrary bytes */
        forget(it);
        memset(&it->context, (int)next(), sizeof it->context);
        it->state = UNKNOWN;
        break;
    case 1: /* an arbitrary word somewhere; the word that tells contexts apart as well */
        if (it->state == OWN || it->state == UNKNOWN || it->state == REFUSED) {
            uint64_t word = next_word();
            size_t offset = next_word() % (sizeof it->context - sizeof word);

            if (how & 1)
                offset = 0, word = 0x72637400 | next();
            memcpy((char *)&it->context + offset, &word, sizeof word);
            it->state = UNKNOWN;
        }
        break;
    case 2:
        forget(it);
        break;
    case 3:
    case 4:
        make_own(it);
        break;
    case 5:
    case 6:
        make_sliced(it);
        break;
    case 7: { /* null pointers */
        ucontext_t *volatile null = NULL;

        expect_failure(how, null, EFAULT);
        errno = 0;
        CHECK(swapcontext(null, &it->context) == -1 && errno == EFAULT);
        CHECK(getcontext(null) == -1 && rctx_getcontext(null) == -1 && errno == EFAULT);
        CHECK(rctx_copycontext(null, &it->context) == -1 && errno == EFAULT);
        CHECK(rctx_makecontext_sliced(null, &base, task, NULL) == -1 && errno == EFAULT);
        CHECK(rctx_slice_swap(&handles[0], NULL, &base) == -1 && errno == EFAULT);
        CHECK(rctx_slice_size(null) == 0);
        rctx_freecontext(null);
        rctx_slice_free(NULL);
        break;
    }
    case 8: { /* a deep copy takes the source's place: two contexts on one stack would trample each other */
        struct guarded *from = pick();

        if (from == it)
            break;
        if (from->state == UNKNOWN) {
            if (it->state == REFUSED)
                try_in_child(6, from, it);
            break;
        }
        if (from->state != SLICED)
            break;
        forget(it);
        CHECK(rctx_copycontext(&it->context, &from->context) == 0);
        CHECK(rctx_slice_size(&it->context) == rctx_slice_size(&from->context));
        rctx_freecontext(&it->context);
        expect_failure(how, &it->context, EINVAL);
        break;
    }
    case 9: /* an assigned copy cannot be saved into, and its memory is left alone */
        if (it->state == SLICED && it->context.uc_stack.ss_flags) {
            static ucontext_t copy;

            copy = it->context;
            rctx_freecontext(&copy);
            errno = 0;
            CHECK(rctx_swapcontext_sliced(&copy, &it->context, &base) == -1 && errno == EINVAL);
        }
        break;
    case 10: /* bases that are none */
        if (it->state == REFUSED) {
            ucontext_t into;

            memset(&into, 0, sizeof into);
            errno = 0;
            CHECK(rctx_getcontext_sliced(&into, &it->context) == -1 && is_known_error(errno));
        }
        break;
    case 11: /* handles */
        turns_left = (int)(how % 4);
        if (!handles[how % HANDLES]) {
            CHECK(rctx_slice_start(&handle_home, &base, handle_task, &handles[how % HANDLES]) == 0);
        } else {
            CHECK(rctx_slice_swap(&handle_home, handles[how % HANDLES], &base) == 0);
        }
        break;
    case 12: { /* stacks */
        size_t size = how & 1 ? next_word() : next_word() % (1 << 20);

        errno = 0;
        if (rctx_stack_alloc(&stack, size) == 0) {
            CHECK(stack.ss_size >= size && size > 0);
            ((volatile char *)stack.ss_sp)[0] = ((volatile char *)stack.ss_sp)[stack.ss_size - 1] = 1;
            CHECK(rctx_stack_free(&stack) == 0);
        } else {
            CHECK(errno == (size ? ENOMEM : EINVAL));
        }
        stack = (stack_t){.ss_sp = stacks[0] + 1, .ss_size = size};
        CHECK(rctx_stack_free(&stack) == -1 && errno == EINVAL);
        break;
    }
    case 13: { /* policies */
        int before = rctx_sigmask((int)(int8_t)how);

        CHECK(before != -1 || errno == EINVAL);
        CHECK(rctx_sigmask(RCTX_SIGMASK_POSIX) >= 0);
        break;
    }
    default: /* resume */
        if (it->state == UNKNOWN)
            try_in_child(how % 6, it, NULL);
        else if (it->state == REFUSED)
            expect_failure(how, &it->context, it->error);
        else if (it->state != FINISHED)
            resume_known(how, it);
    }
    check_guards();
}

static __attribute__((noinline)) void run(void)
{
    while (input < input_end)
        step();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(stacks, POISON, sizeof stacks);
    for (int index = 0; index < CONTEXTS; index++) {
        memset(&pool[index], POISON, sizeof pool[index]);
        pool[index].state = UNKNOWN;
        forget(&pool[index]);
    }
    memset(&home, 0, sizeof home);
    input = data;
    input_end = data + size;
    CHECK(getcontext(&base) == 0);
    run();
    for (int index = 0; index < CONTEXTS; index++)
        forget(&pool[index]);
    for (int index = 0; index < HANDLES; index++) {
        rctx_slice_free(handles[index]);
        handles[index] = NULL;
    }
    rctx_slice_free(handle_home);
    handle_home = NULL;
    rctx_freecontext(&home);
    return 0;
}
