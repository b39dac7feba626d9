/* Who is measured: glibc and rctx always, the others where they are found. */
#include "loops.h"

#include <dlfcn.h>

#define DEFINE(type, name, arguments) type(*name) arguments;
RCTX_FUNCTIONS(DEFINE)

struct posix posix_peers[PEERS];
transfer_t (*boost_jump)(fcontext_t, void *);
fcontext_t (*boost_make)(void *, size_t, void (*)(transfer_t));

static void *symbol(void *library, const char *name)
{
    void *address = dlsym(library, name);

    if (!address) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return address;
}

static void load_posix(struct posix *peer, void *library)
{
    peer->getcontext = symbol(library, "getcontext");
    peer->setcontext = symbol(library, "setcontext");
    peer->makecontext = symbol(library, "makecontext");
    peer->swapcontext = symbol(library, "swapcontext");
}

#ifdef HAVE_LIBUCONTEXT
int libucontext_getcontext(ucontext_t *);
int libucontext_setcontext(const ucontext_t *);
void libucontext_makecontext(ucontext_t *, void (*)(void), int, ...);
int libucontext_swapcontext(ucontext_t *, const ucontext_t *);
#endif

/* Loads the peers that are libraries of their own. */
void load_peers(const char *rctx_path)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_LOCAL);
    void *rctx = dlopen(rctx_path, RTLD_NOW | RTLD_LOCAL);
    void *boost = dlopen("libboost_context.so", RTLD_NOW | RTLD_LOCAL);

    if (!libc || !rctx) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
#define LOAD(type, name, arguments) name = symbol(rctx, #name);
    RCTX_FUNCTIONS(LOAD)
    load_posix(&posix_peers[GLIBC], libc);
    load_posix(&posix_peers[POSIX], rctx);
    load_posix(&posix_peers[NONE], rctx);
    posix_peers[NONE].policy = 1; /* RCTX_SIGMASK_NONE */
    load_posix(&posix_peers[TWINS], rctx);
    posix_peers[TWINS].getcontext = rctx_getcontext;
    posix_peers[TWINS].setcontext = rctx_setcontext;
    posix_peers[TWINS].swapcontext = rctx_swapcontext;
    /* A library of its own, which the process was started with. */
    load_posix(&posix_peers[TRACK], RTLD_DEFAULT);
    MUST(((int (*)(int))symbol(RTLD_DEFAULT, "rctx_sigmask"))(2) == 2); /* RCTX_SIGMASK_TRACK */
    MUST(posix_peers[GLIBC].swapcontext != posix_peers[POSIX].swapcontext);
    MUST(posix_peers[TRACK].swapcontext != posix_peers[POSIX].swapcontext);
    MUST(posix_peers[TRACK].swapcontext != posix_peers[GLIBC].swapcontext);
#ifdef HAVE_LIBUCONTEXT
    posix_peers[LIBUCONTEXT] = (struct posix){libucontext_getcontext, libucontext_setcontext,
                                              libucontext_makecontext, libucontext_swapcontext, 0};
#endif
    if (boost) {
        boost_jump = symbol(boost, "jump_fcontext");
        boost_make = symbol(boost, "make_fcontext");
    }
}

const char *library_version(void)
{
    return rctx_version();
}

/* --- The peers that may be absent --- */

typedef double loop_t(size_t locals, size_t n);

loop_t fcontext_swap, fcontext_create, fcontext_cold;
loop_t pth_swap, pth_create;
int pth_is_present(void);
#ifdef HAVE_LIBACO
loop_t libaco_swap, libaco_create, libaco_sliced;
#endif
#ifdef HAVE_MINICORO
loop_t minicoro_swap, minicoro_create;
#endif
#ifdef HAVE_LIBTEALET
loop_t libtealet_create, libtealet_sliced;
#endif

static int fcontext_is_present(void)
{
    return boost_jump != NULL;
}

#if defined HAVE_LIBACO || defined HAVE_MINICORO || defined HAVE_LIBTEALET
static int always(void)
{
    return 1;
}
#endif

static const struct {
    const char *peer, *what;
    loop_t *loop;
    int (*is_present)(void);
} loops[] = {
    {"fcontext", "swap", fcontext_swap, fcontext_is_present},
    {"fcontext", "create", fcontext_create, fcontext_is_present},
    {"fcontext", "cold", fcontext_cold, fcontext_is_present},
    {"pth", "swap", pth_swap, pth_is_present},
    {"pth", "create", pth_create, pth_is_present},
#ifdef HAVE_LIBACO
    {"libaco", "swap", libaco_swap, always},
    {"libaco", "create", libaco_create, always},
    {"libaco", "sliced", libaco_sliced, always},
#endif
#ifdef HAVE_MINICORO
    {"minicoro", "swap", minicoro_swap, always},
    {"minicoro", "create", minicoro_create, always},
#endif
#ifdef HAVE_LIBTEALET
    {"libtealet", "create", libtealet_create, always},
    {"libtealet", "sliced", libtealet_sliced, always},
#endif
};

/* A peer's loop, or null when the peer is absent. */
loop_t *find_loop(const char *peer, const char *what)
{
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
        if (strcmp(loops[i].peer, peer) == 0 && strcmp(loops[i].what, what) == 0)
            return loops[i].is_present() ? loops[i].loop : NULL;
    return NULL;
}

/* Whether the functions of POSIX of one of `posix_peers` are there. */
int posix_is_present(int which)
{
    return posix_peers[which].swapcontext != NULL;
}
