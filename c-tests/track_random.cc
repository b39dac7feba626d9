// The signal mask after each of many random operations, and in every handler on the way: mask calls of every kind, swaps
// between contexts, handlers with every flag, nested, left in every way, processes, threads. What is printed must be the
// same over the system's libc, ours, and ours with masks that are tracked. (qemu 7.2 reads sa_mask where riscv64 and
// loongarch64 have no such field: there a handler's mask is anything. glibc's functions for i686 keep 32 signals only.)
//
//     track_random [OPERATIONS]
//
//     linkings: same
//     arch: x86_64 x86 aarch64 arm s390x powerpc64
//     nooracle: x86
//     options: -O2
//     flags: -pthread -Wno-deprecated-declarations
#include "check.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <poll.h>

#include <initializer_list>

// Exported by glibc, declared for older standards only.
extern "C" __sighandler_t bsd_signal(int, __sighandler_t);

enum { TASKS = 6, STACK = 256 * 1024, DEEPEST = 4 };

// Where a handler may leave to.
struct ways_out {
    sigjmp_buf *jump;
    jmp_buf *plain_jump; // without a mask
    ucontext_t *escape;  // by setcontext
    bool catches;        // by an exception
};

struct task {
    ucontext_t context;
    int depth; // of operations within handlers
    ways_out ways;
    char stack[STACK];
};

static task tasks[TASKS];
static ucontext_t home;
static int current;
static long done, limit;
static bool is_child, on_alternate;
// Within a swap or resume, whose system call lets signals in: there, handlers neither swap nor leave.
static bool is_swapping;
static const char *self;
static char alternate[STACK];

// Default actions: the first three are ignored.
static int signals[] = {SIGURG, SIGWINCH, SIGCONT, SIGUSR1, SIGUSR2, SIGALRM, SIGIO, 0 /* SIGRTMIN + 3 */};
enum { IGNORED = 3, SIGNALS = sizeof signals / sizeof *signals };

static void operate(void);

static unsigned pick(unsigned below)
{
    return (unsigned)((next_random() >> 33) % below);
}

// --- Output ---

static char buffer[1 << 16];
static size_t filled;

static void flush(void)
{
    for (size_t at = 0; at < filled;) {
        ssize_t written = write(STDOUT_FILENO, buffer + at, filled - at);
        CHECK(written > 0);
        at += (size_t)written;
    }
    filled = 0;
}

// What the kernel has. (A null set changes nothing, so nothing is learnt from it or lost by it.)
static unsigned long long mask_now(void)
{
    sigset_t set;
    unsigned long long mask = 0;

    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &set) == 0);
    for (int signal = 1; signal <= 64; signal++)
        if (signal < 32 || signal > 34) // libc's own
            mask |= (unsigned long long)(sigismember(&set, signal) == 1) << (signal - 1);
    return mask;
}

static void print(const char *what, long value)
{
    if (filled + 128 > sizeof buffer)
        flush();
    filled += (size_t)snprintf(buffer + filled, 128, "%s %ld %llx\n", what, value, mask_now());
}

// --- Random arguments ---

static int random_signal(void)
{
    return signals[pick(SIGNALS)];
}

// Every signal but those that qemu 7.2 keeps to itself, and takes out of masks.
static void fill(sigset_t *set)
{
    sigfillset(set);
    if (emulated()) {
        sigdelset(set, 63);
        sigdelset(set, 64);
    }
}

static sigset_t random_set(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (int signal : signals)
        if (pick(3) == 0)
            sigaddset(&set, signal);
    switch (pick(16)) {
    case 0:
        sigaddset(&set, pick(2) ? SIGKILL : SIGSTOP);
        break;
    case 1:
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGRTMAX - 4);
        break;
    case 2:
        fill(&set);
        break;
    }
    return set;
}

// --- Handlers ---

static void handle(int number, int signal, ucontext_t *context)
{
    task &task = tasks[current];
    bool was_on_alternate = on_alternate;
    char here;

    on_alternate = &here >= alternate && &here < alternate + sizeof alternate;
    print(context ? "info handler" : "handler", number * 100 + signal);
    for (unsigned n = pick(3); n-- && !is_swapping && task.depth < DEEPEST;) {
        task.depth++;
        operate();
        task.depth--;
    }
    switch (is_swapping ? 5 : pick(8)) {
    case 0:
        if (task.ways.jump)
            pick(2) ? siglongjmp(*task.ways.jump, 1) : longjmp(*task.ways.jump, 1);
        break;
    case 1:
        if (task.ways.plain_jump)
            pick(2) ? _longjmp(*task.ways.plain_jump, 1) : longjmp(*task.ways.plain_jump, 1);
        break;
    case 2:
        if (task.ways.escape)
            setcontext(task.ways.escape);
        break;
    case 3:
        if (task.ways.catches)
            throw signal;
        break;
    case 4:
    case 5:
        if (context)
            pick(2) ? sigaddset(&context->uc_sigmask, random_signal())
                    : sigdelset(&context->uc_sigmask, random_signal());
        break;
    }
    print("end of handler", number * 100 + signal);
    on_alternate = was_on_alternate;
}

template <int number> HANDLER static void plain(int signal)
{
    handle(number, signal, NULL);
}

template <int number> HANDLER static void with_info(int signal, siginfo_t *info, void *context)
{
    CHECK(info->si_signo == signal);
    handle(number, signal, (ucontext_t *)context);
}

static void (*const plain_handlers[])(int) = {plain<1>, plain<2>, plain<3>};
static void (*const info_handlers[])(int, siginfo_t *, void *) = {with_info<4>, with_info<5>, with_info<6>};

// Which handler it is that libc reports.
static long name_of(void (*handler)(int))
{
    for (int i = 0; i < 3; i++)
        if (handler == plain_handlers[i])
            return 1 + i;
    for (int i = 0; i < 3; i++)
        if ((void *)handler == (void *)info_handlers[i])
            return 4 + i;
    return handler == SIG_DFL ? 0 : handler == SIG_IGN ? 7 : handler == SIG_HOLD ? 8 : handler == SIG_ERR ? 9 : 99;
}

static void print_action(const char *what, const struct sigaction &action)
{
    long set = 0;

    for (int i = 0; i < SIGNALS; i++)
        set |= (long)sigismember(&action.sa_mask, signals[i]) << i;
    // SA_RESTORER is libc's.
    print(what, name_of(action.sa_handler) + 100 * set);
    print("flags", action.sa_flags & ~0x04000000);
}

static bool is_ignored(int signal)
{
    return signal == signals[0] || signal == signals[1] || signal == signals[2];
}

static void install(int signal)
{
    struct sigaction action, old;
    void (*handler)(int) = plain_handlers[pick(3)];
    // Of the others several may be pending, and the second would end the process.
    bool may_reset = is_ignored(signal);

    memset(&action, 0, sizeof action);
    action.sa_mask = random_set();
    action.sa_handler = handler;
    if (pick(2)) {
        action.sa_sigaction = info_handlers[pick(3)];
        action.sa_flags = SA_SIGINFO;
    }
    for (int flag : {(int)SA_NODEFER, (int)SA_RESTART, (int)SA_ONSTACK})
        if (pick(3) == 0)
            action.sa_flags |= flag;
    if (may_reset && pick(3) == 0)
        action.sa_flags |= (int)SA_RESETHAND;
    switch (pick(12)) {
    case 0:
        print("signal", name_of(::signal(signal, handler)));
        break;
    case 1:
        print("bsd_signal", name_of(bsd_signal(signal, handler)));
        break;
    case 2:
        print("ssignal", name_of(ssignal(signal, handler)));
        break;
    case 3:
        if (may_reset)
            print("sysv_signal", name_of(sysv_signal(signal, handler)));
        break;
    case 4:
        if (may_reset)
            print("__sysv_signal", name_of(__sysv_signal(signal, handler)));
        break;
    case 5:
        print("sigset", name_of(sigset(signal, handler)));
        break;
    case 6:
        print("siginterrupt", siginterrupt(signal, (int)pick(2)));
        break;
    default:
        CHECK(sigaction(signal, &action, &old) == 0);
        print_action("sigaction", old);
    }
}

// A disposition that does not end the process.
static void make_harmless(int signal)
{
    struct sigaction action;

    for (;;) {
        CHECK(sigaction(signal, NULL, &action) == 0);
        print_action("disposition", action);
        if (action.sa_handler != SIG_DFL || is_ignored(signal))
            return;
        install(signal);
    }
}

// Through a pointer: to the compiler, raise itself never throws.
static int (*volatile raise_it)(int) = raise;

static void provoke(int signal)
{
    make_harmless(signal);
    switch (pick(4)) {
    case 0:
        CHECK(kill(getpid(), signal) == 0);
        break;
    case 1:
        CHECK(pthread_kill(pthread_self(), signal) == 0);
        break;
    default:
        CHECK(raise_it(signal) == 0);
    }
}

// --- Signals whose handlers may leave ---

// Puts back what a handler that left has not.
struct place {
    int number, depth;
    bool was_on_alternate;
    ways_out ways;

    place()
        : number(current), depth(tasks[current].depth), was_on_alternate(on_alternate),
          ways(tasks[current].ways)
    {
    }

    void restore() const
    {
        CHECK(current == number);
        tasks[number].depth = depth;
        tasks[number].ways = ways;
        on_alternate = was_on_alternate;
    }
};

__attribute__((noinline)) static void leave_by_siglongjmp(void)
{
    static volatile int saves;
    const place place;
    sigjmp_buf jump;

    saves = pick(4) != 0;
    int jumped = sigsetjmp(jump, saves);
    if (!jumped) {
        tasks[place.number].ways.jump = &jump;
        provoke(random_signal());
    }
    place.restore();
    print("siglongjmp", jumped);
}

__attribute__((noinline)) static void leave_by_longjmp(void)
{
    const place place;
    jmp_buf jump;

    int jumped = _setjmp(jump);
    if (!jumped) {
        tasks[place.number].ways.plain_jump = &jump;
        provoke(random_signal());
    }
    place.restore();
    print("longjmp", jumped);
}

__attribute__((noinline)) static void leave_by_setcontext(void)
{
    const place place;
    volatile int returns = 0;
    ucontext_t here;

    CHECK(getcontext(&here) == 0);
    if (returns++ == 0) {
        if (pick(4) == 0)
            here.uc_sigmask = random_set();
        tasks[place.number].ways.escape = &here;
        provoke(random_signal());
    }
    place.restore();
    print("setcontext", returns);
}

// Where an exception finds its way out of a handler.
static bool can_throw(void)
{
#ifdef __arm__
    return false;
#else
    return !emulated();
#endif
}

__attribute__((noinline)) static void leave_by_exception(void)
{
    const place place;
    int caught = 0;

    try {
        tasks[place.number].ways.catches = can_throw();
        int signal = random_signal();
        make_harmless(signal);
        CHECK(raise_it(signal) == 0);
    } catch (int signal) {
        caught = signal;
    }
    place.restore();
    print("exception", caught);
}

// --- Waiting ---

// What must return, lets no handler leave.
struct staying {
    task &held;
    ways_out ways;

    explicit staying(task &task) : held(task), ways(task.ways)
    {
        task.ways = ways_out();
    }

    ~staying()
    {
        held.ways = ways;
    }
};

static bool is_pending(int signal)
{
    sigset_t set;

    CHECK(sigpending(&set) == 0);
    return sigismember(&set, signal);
}

static bool is_handled(int signal)
{
    struct sigaction action;

    CHECK(sigaction(signal, NULL, &action) == 0);
    return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

static void wait_with_mask(void)
{
    int signal = random_signal(), status;
    sigset_t mask = random_set(), only;
    struct timespec none = {0, 0};
    struct epoll_event event;
    siginfo_t info;
    fd_set empty;

    sighold(signal);
    provoke(signal);
    if (!is_pending(signal) || !is_handled(signal))
        return; // it would wait for ever
    sigdelset(&mask, signal);
    sigemptyset(&only);
    sigaddset(&only, signal);
    switch (pick(6)) {
    case 0:
        status = sigsuspend(&mask);
        break;
    case 1:
        status = ppoll(NULL, 0, &none, &mask);
        break;
    case 2:
        FD_ZERO(&empty);
        status = pselect(0, &empty, NULL, NULL, &none, &mask);
        break;
    case 3: {
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        status = epoll_pwait(epoll, &event, 1, 0, &mask);
        close(epoll);
        break;
    }
    case 4:
        status = sigtimedwait(&only, &info, &none);
        break;
    default:
        status = sigpause(signal);
    }
    print("wait", status);
}

static void timer(void)
{
    struct itimerval soon;
    sigset_t only;
    int signal = 0;

    make_harmless(SIGALRM);
    sighold(SIGALRM);
    if (is_pending(SIGALRM))
        return; // the second would come at any time
    memset(&soon, 0, sizeof soon);
    soon.it_value.tv_usec = 1;
    sigemptyset(&only);
    sigaddset(&only, SIGALRM);
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    CHECK(sigwait(&only, &signal) == 0);
    print("sigwait", signal);
    if (pick(2))
        sigrelse(SIGALRM);
}

// --- Processes and threads ---

static void wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) == -1)
        CHECK(errno == EINTR);
    print("child", WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status));
}

static char *no_environment[] = {NULL};

__attribute__((noinline)) static void vfork_and_exec(void)
{
    sigset_t set = random_set();
    char option[] = "--mask", *arguments[] = {option, option, NULL};

    flush();
    pid_t pid = vfork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &set, NULL);
        execve(self, arguments, no_environment);
        _exit(1);
    }
    wait_for(pid);
}

static void spawn(void)
{
    posix_spawnattr_t attributes;
    sigset_t set = random_set();
    char option[] = "--mask", *arguments[] = {option, option, NULL};
    pid_t pid;

    CHECK(posix_spawnattr_init(&attributes) == 0);
    if (pick(2)) {
        CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK) == 0);
        CHECK(posix_spawnattr_setsigmask(&attributes, &set) == 0);
    }
    flush();
    CHECK(posix_spawn(&pid, self, NULL, &attributes, arguments, no_environment) == 0);
    posix_spawnattr_destroy(&attributes);
    wait_for(pid);
}

static sigjmp_buf after_abort;

HANDLER static void leave_abort(int)
{
    print("aborted", 0);
    siglongjmp(after_abort, 1);
}

// A child runs on for some operations, in whatever context.
static void make_child(void)
{
    bool aborts = pick(4) == 0;

    if (is_child)
        return;
    flush();
    pid_t pid = fork();
    CHECK(pid != -1);
    if (pid == 0) {
        is_child = true;
        limit = done + (long)pick(30);
        print("forked", 0);
        if (aborts) {
            signal(SIGABRT, leave_abort);
            if (!sigsetjmp(after_abort, 1))
                abort();
            print("after abort", 0);
        }
        return;
    }
    wait_for(pid);
}

struct pair {
    ucontext_t first, second;
    char stack[65536];
};

// Of signals that are never sent: one that is pending for the process is to be the first thread's.
static sigset_t unsent_set(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (int signal : {SIGTTIN, SIGTTOU, SIGHUP, SIGRTMAX - 4})
        if (pick(2))
            sigaddset(&set, signal);
    return set;
}

static void other_side(pair *pair)
{
    sigset_t set = unsent_set();

    print("thread's context", 0);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    CHECK(swapcontext(&pair->second, &pair->first) == 0);
    print("thread's context", 1);
}

static void *thread(void *)
{
    static pair pair; // one thread at a time
    sigset_t set = unsent_set();

    print("thread", 0);
    prepare(&pair.second, pair.stack, sizeof pair.stack, &pair.first);
    makecontext(&pair.second, (void (*)(void))other_side, 1, &pair);
    CHECK(swapcontext(&pair.first, &pair.second) == 0);
    print("thread", 1);
    pthread_sigmask(pick(2) ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
    CHECK(swapcontext(&pair.first, &pair.second) == 0);
    print("thread", 2);
    return NULL;
}

static void clean_up(void *)
{
    print("cancelled", 0);
}

static sem_t ready;

static void *waiting_thread(void *)
{
    pthread_cleanup_push(clean_up, NULL);
    print("waiting thread", 0);
    sem_post(&ready);
    for (;;)
        pause();
    pthread_cleanup_pop(0);
}

// Where a cancelled thread's clean-up is run, whatever it waits in: not over qemu's signal frames on powerpc64.
static bool can_cancel(void)
{
#ifdef __powerpc64__
    return !emulated();
#else
    return true;
#endif
}

static void run_thread(void)
{
    bool cancels = can_cancel() && pick(2);
    pthread_t id;
    sigset_t all, old;

    if (loses_thread())
        return;
    fill(&all);
    CHECK(pthread_sigmask(SIG_BLOCK, &all, &old) == 0);
    CHECK(pthread_create(&id, NULL, cancels ? waiting_thread : thread, NULL) == 0);
    if (cancels) {
        while (sem_wait(&ready) == -1)
            continue;
        CHECK(pthread_cancel(id) == 0);
    }
    CHECK(pthread_join(id, NULL) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    print("joined", cancels);
}

// --- Contexts ---

static void swap_to(int number)
{
    int from = current;

    if (number == from)
        return;
    current = number;
    is_swapping = true;
    CHECK(swapcontext(&tasks[from].context, &tasks[number].context) == 0);
    is_swapping = false;
    CHECK(current == from);
}

static void end_of_link(int number)
{
    print("linked context", number);
    is_swapping = true; // by uc_link
}

static void through_link(void)
{
    static char stack[65536];
    static ucontext_t linked;
    ucontext_t here;
    staying staying(tasks[current]);
    static bool busy;

    if (busy)
        return;
    busy = true;
    prepare(&linked, stack, sizeof stack, &here);
    if (pick(2)) {
        linked.uc_sigmask = random_set();
        // No handler in the linked context: it could swap away and be made again.
        for (int signal : signals)
            sigaddset(&linked.uc_sigmask, signal);
    } else {
        fill(&linked.uc_sigmask);
    }
    makecontext(&linked, (void (*)(void))end_of_link, 1, 5);
    CHECK(swapcontext(&here, &linked) == 0);
    is_swapping = false;
    busy = false;
    print("link", 0);
}

static void work(int number)
{
    is_swapping = false;
    print("task", number);
    for (;;)
        operate();
}

static void end_if_done(void)
{
    if (done < limit)
        return;
    if (is_child) {
        flush();
        _exit(0);
    }
    flush();
    END();
    _exit(0);
}

static void change_mask(void)
{
    sigset_t set = random_set(), old, *volatile same = &set;
    int how = (int)pick(3), word = 0;

    for (int i = 0; i < SIGNALS - 1; i++)
        word |= (int)(sigismember(&set, signals[i]) << (signals[i] - 1));
    sigemptyset(&old);
    switch (pick(10)) {
    case 0:
        print("sigblock", sigblock(word) & 0x7fffffff);
        break;
    case 1:
        print("sigsetmask", sigsetmask(word) & 0x7fffffff);
        break;
    case 2:
        print("sighold", sighold(random_signal()));
        break;
    case 3:
        print("sigrelse", sigrelse(random_signal()));
        break;
    case 4:
        print("sigset", name_of(sigset(random_signal(), SIG_HOLD)));
        break;
    case 5:
        print("syscall", syscall(SYS_rt_sigprocmask, how, &set, NULL, 8));
        break;
    case 6:
        print("pthread_sigmask", pthread_sigmask(how, &set, pick(2) ? &old : NULL));
        break;
    case 7:
        // glibc's constants are 0, 1, 2 everywhere.
        print("wrong", sigprocmask(7, &set, NULL));
        break;
    case 8:
        print("in place", sigprocmask(how, &set, same));
        break;
    default:
        print("sigprocmask", sigprocmask(how, &set, pick(2) ? &old : NULL));
    }
    word = 0;
    for (int i = 0; i < SIGNALS; i++)
        word |= sigismember(&old, signals[i]) << i;
    print("old", word);
}

static void operate(void)
{
    task &task = tasks[current];
    unsigned rare = pick(3000);

    end_if_done();
    done++;
    if (on_alternate) { // where nothing may swap
        change_mask();
        return;
    }
    switch (rare) {
    case 0:
        make_child();
        return;
    case 1:
    case 2:
        vfork_and_exec();
        return;
    case 3:
    case 4:
        spawn();
        return;
    case 5:
    case 6:
    case 7:
        run_thread();
        return;
    }
    if (task.depth >= DEEPEST) {
        change_mask();
        return;
    }
    task.depth++;
    switch (pick(16)) {
    case 0:
    case 1:
    case 2:
        change_mask();
        break;
    case 3:
        install(random_signal());
        break;
    case 4: {
        int signal = signals[pick(IGNORED)];
        print("ignored", name_of(pick(2) ? ::signal(signal, SIG_DFL) : ::signal(signal, SIG_IGN)));
        break;
    }
    case 5:
        leave_by_siglongjmp();
        break;
    case 6:
        leave_by_longjmp();
        break;
    case 7:
        leave_by_setcontext();
        break;
    case 8:
        leave_by_exception();
        break;
    case 9: {
        staying staying(task);
        provoke(random_signal());
        break;
    }
    case 10: {
        staying staying(task);
        wait_with_mask();
        break;
    }
    case 11:
        if (pick(4) == 0) {
            staying staying(task);
            timer();
        }
        break;
    case 12:
        through_link();
        break;
    case 13: {
        int number = (int)pick(TASKS);
        if (number != current)
            tasks[number].context.uc_sigmask = random_set();
        swap_to(number);
        break;
    }
    default:
        swap_to((int)pick(TASKS));
    }
    task.depth--;
    print("operation", current);
}

int main(int argc, char **argv)
{
    stack_t stack;

    if (argc > 1 && strcmp(argv[1], "--mask") == 0) {
        print("executed", 0);
        flush();
        return 0;
    }
    limit = argc > 1 ? atol(argv[1]) : emulated() ? 20000 : 1000000;
    self = realpath("/proc/self/exe", NULL);
    signals[SIGNALS - 1] = SIGRTMIN + 3;
    seed_random();
    fflush(stdout);
    CHECK(sem_init(&ready, 0, 0) == 0);
    memset(&stack, 0, sizeof stack);
    stack.ss_sp = alternate;
    stack.ss_size = sizeof alternate;
    CHECK(sigaltstack(&stack, NULL) == 0);
    for (int i = 0; i < TASKS; i++) {
        prepare(&tasks[i].context, tasks[i].stack, sizeof tasks[i].stack, NULL);
        tasks[i].context.uc_sigmask = random_set();
        makecontext(&tasks[i].context, (void (*)(void))work, 1, i);
    }
    current = TASKS - 1;
    is_swapping = true;
    CHECK(swapcontext(&home, &tasks[current].context) == 0);
    return 1;
}
