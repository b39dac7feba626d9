/* What every test program of this folder uses.
 *
 * A program's first comment says how it is built and run, one directive a line, each optional. A line that
 * starts with a word of lower-case letters and a colon is a directive; an unknown one is an error.
 *
 *     linkings: shared static preload oracle    how it gets the functions (default: shared static); also
 *               archive track linked-track same gdb
 *     options: -O0 -O2 -Os                      built and run once with each (default: these three)
 *     compilers: gcc clang                      built and run with each (default: gcc)
 *     flags: -flto -pthread                     added to every build; a sanitizer named here must be in it
 *     valgrind: memcheck helgrind               the shared -O2 build runs under these tools as well
 *     status: 7                                 the exit status that is a success (default: 0)
 *     arch: x86 x86_64                          the instruction sets that it is for, as Rust names them (default: all)
 *     libc: gnu                                 the C libraries that it is for, gnu and musl (default: both)
 *     nooracle: powerpc64                       the instruction sets whose libc itself gets this wrong
 *     native: yes                               needs tools that only the machine's own C library has: left out
 *                                               where RCTX_CC chooses another
 *     environment: RCTX_SIGMASK=none            set for every run, one or more
 *     stderr: a regular expression              that all of stderr matches; empty for silence (default: any)
 *
 * `preload` and `oracle` are for programs that include <ucontext.h> only: `preload` runs them with
 * LD_PRELOAD over the system's libc and proves by the loader's log that the functions bind to us, `oracle`
 * runs them over the system's libc alone, as the standard that the test itself is held to. `archive` is
 * librctx.a in a program that is shared otherwise. `track` preloads librctx-track.so, `linked-track` links with
 * it, and both prove that masks were tracked to the end. `same` is for programs that print what they see: over
 * the system's libc, if that is an oracle, preload and track it must be the same, for one seed. `gdb` runs the
 * program under gdb with the script of its name, which prints the end marker.
 *
 * A program succeeds when its status is right and its last line of output is the end marker, which END()
 * prints; a program that ends without it has failed.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: failed: %s (errno %d)\n", __FILE__, __LINE__, #condition,     \
                    errno);                                                                       \
            _Exit(1);                                                                             \
        }                                                                                         \
    } while (0)

/* Checks that a call failed with -1 and the given errno. */
#define CHECK_FAILS(call, error)                                                                  \
    do {                                                                                          \
        errno = 0;                                                                                \
        CHECK((call) == -1);                                                                      \
        CHECK(errno == (error));                                                                  \
    } while (0)

/* Whether an emulator of user programs runs this one. */
static inline int emulated(void)
{
    return getenv("RCTX_RUNNER") != NULL;
}

/* On every signal handler: qemu-i386 7.2 enters them with a stack pointer that is not aligned. */
#ifdef __i386__
#define HANDLER __attribute__((force_align_arg_pointer))
#else
#define HANDLER
#endif

/* Whether the x87 control word is lost at a signal: qemu-i386 7.2 saves for the handler what FNSAVE has left. */
static inline int loses_x87(void)
{
#ifdef __i386__
    return emulated();
#else
    return 0;
#endif
}

/* Whether a thread that returns from a signal handler is another to the C library: qemu-i386 7.2 keeps one table of
 * segments for all threads, so it loads the thread-local storage of the last that was made. */
static inline int loses_thread(void)
{
#ifdef __i386__
    return emulated();
#else
    return 0;
#endif
}

/* Blocks a signal in the calling thread, or lets it through. */
static inline void set_blocked(int signal, int blocked)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, signal);
    CHECK(sigprocmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL) == 0);
}

static inline int is_blocked(int signal)
{
    sigset_t set;

    CHECK(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
    return sigismember(&set, signal);
}

/* Compares structures of whole 32-bit words; `what` says of what. */
static inline void check_words(const char *what, const void *wanted, const void *found, size_t size)
{
    for (size_t i = 0; i < size / sizeof(uint32_t); i++) {
        uint32_t word, other;

        memcpy(&word, (const uint32_t *)wanted + i, sizeof word);
        memcpy(&other, (const uint32_t *)found + i, sizeof other);
        if (word != other) {
            fprintf(stderr, "%s: word %zu is %#x, was %#x\n", what, i, other, word);
            _Exit(1);
        }
    }
}

/* Room on the stack that the compiler may not leave out. */
static inline void keep(volatile void *room)
{
    __asm__ volatile("" : : "r"(room) : "memory");
}

static inline void END(void)
{
    /* write, not printf: it must be the last line even where stdio was buffered. */
    static const char marker[] = "rctx-test: end\n";
    fflush(stdout);
    if (write(STDOUT_FILENO, marker, sizeof marker - 1) != (ssize_t)(sizeof marker - 1))
        _Exit(1);
}

/* Captures a context, with its stack and uc_link: ready for makecontext. A function of its own, because the
 * compiler must expect from getcontext to return twice, and warns of the caller's variables. */
__attribute__((noinline, unused)) static void prepare(ucontext_t *ucp, void *low, size_t size,
                                                      ucontext_t *link)
{
    CHECK(getcontext(ucp) == 0);
    ucp->uc_stack.ss_sp = low;
    ucp->uc_stack.ss_size = size;
    ucp->uc_link = link;
}

static uint64_t check_random_state;

/* The seed of a randomised test: RCTX_SEED, or one from the clock; printed, so that a failure can be run again. */
static inline uint64_t seed_random(void)
{
    const char *given = getenv("RCTX_SEED");
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    check_random_state = given ? strtoull(given, NULL, 0)
                               : (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec;
    if (!check_random_state)
        check_random_state = 1;
    printf("seed: RCTX_SEED=%llu\n", (unsigned long long)check_random_state);
    return check_random_state;
}

/* xorshift64*, one state for the process. */
static inline uint64_t next_random(void)
{
    check_random_state ^= check_random_state >> 12;
    check_random_state ^= check_random_state << 25;
    check_random_state ^= check_random_state >> 27;
    return check_random_state * 0x2545f4914f6cdd1du;
}
#endif
