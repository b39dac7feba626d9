/* What belongs to a Python stack within CPython's PyThreadState, and how it is taken from there and put back.
 *
 * A tasklet has a thread state of its own in this sense: these fields, and the interpreter's data stack that they
 * lead to, are each tasklet's; identity, tracing functions and threading.local are the thread's. The fields are those
 * of cpython/pystate.h, which is public but differs from version to version, and this file is all that knows it.
 * PyThreadState_Swap cannot do the same: docs/cpython.md says why.
 */
#ifndef PYSTATE_H
#define PYSTATE_H

#include <Python.h>
#include <stdbool.h>

#if PY_VERSION_HEX >= 0x030C0000
#define Py_BUILD_CORE 1 /* for the interpreter's frames */
#include <internal/pycore_frame.h>
#undef Py_BUILD_CORE
#endif

#if PY_VERSION_HEX >= 0x030C0000
#define DEPTH(tstate) ((tstate)->py_recursion_limit - (tstate)->py_recursion_remaining)
#define SET_DEPTH(tstate, n) ((tstate)->py_recursion_remaining = (tstate)->py_recursion_limit - (n))
#elif PY_VERSION_HEX >= 0x030B0000
#define DEPTH(tstate) ((tstate)->recursion_limit - (tstate)->recursion_remaining)
#define SET_DEPTH(tstate, n) ((tstate)->recursion_remaining = (tstate)->recursion_limit - (n))
#else
#define DEPTH(tstate) ((tstate)->recursion_depth)
#define SET_DEPTH(tstate, n) ((tstate)->recursion_depth = (n))
#endif

/* How deep the calls are. Python's limit may change while a tasklet is suspended, so the depth is kept, and not what
 * remained of the limit; that of C cannot change. */
struct depth {
    int python;
#if PY_VERSION_HEX >= 0x030C0000
    int c_remaining;
#endif
};

/* The fields, each with its type, its name here and its name in PyThreadState. */
#define COMMON_FIELDS(FIELD)                                                                                          \
    FIELD(PyObject *, context, context) /* of contextvars */                                                          \
    FIELD(_PyErr_StackItem, exc_state, exc_state) /* the outermost exception that is being handled, and */            \
    FIELD(_PyErr_StackItem *, exc_info, exc_info) /* the innermost */                                                 \
    FIELD(int, tracing, tracing) /* how many trace functions are running */
#if PY_VERSION_HEX >= 0x030D0000
#define VERSION_FIELDS(FIELD)                                                                                         \
    FIELD(struct _PyInterpreterFrame *, frame, current_frame)                                                         \
    FIELD(int, event, what_event)                                                                                     \
    FIELD(int, headroom, recursion_headroom) /* not 0 while a RecursionError is being made */
#elif PY_VERSION_HEX >= 0x030C0000
#define VERSION_FIELDS(FIELD)                                                                                         \
    FIELD(_PyCFrame *, cframe, cframe)                                                                                \
    FIELD(int, event, what_event)                                                                                     \
    FIELD(int, headroom, recursion_headroom)                                                                          \
    FIELD(int, trash_nesting, trash.delete_nesting) /* of deallocators */
#elif PY_VERSION_HEX >= 0x030B0000
#define VERSION_FIELDS(FIELD)                                                                                         \
    FIELD(_PyCFrame *, cframe, cframe)                                                                                \
    FIELD(int, event, tracing_what)                                                                                   \
    FIELD(int, headroom, recursion_headroom)                                                                          \
    FIELD(int, trash_nesting, trash_delete_nesting)
#elif PY_VERSION_HEX >= 0x030A0000
#define VERSION_FIELDS(FIELD)                                                                                         \
    FIELD(CFrame *, cframe, cframe)                                                                                   \
    FIELD(PyFrameObject *, frame, frame)                                                                              \
    FIELD(int, headroom, recursion_headroom)                                                                          \
    FIELD(int, trash_nesting, trash_delete_nesting)
#else
#define VERSION_FIELDS(FIELD)                                                                                         \
    FIELD(PyFrameObject *, frame, frame)                                                                              \
    FIELD(char, headroom, overflowed)                                                                                 \
    FIELD(int, trash_nesting, trash_delete_nesting)
#endif

/* The memory that Python frames are in, since 3.11. A zeroed one has none yet. */
#if PY_VERSION_HEX >= 0x030B0000
#define DATA_FIELDS(FIELD)                                                                                            \
    FIELD(_PyStackChunk *, chunk, datastack_chunk)                                                                    \
    FIELD(PyObject **, top, datastack_top)                                                                            \
    FIELD(PyObject **, limit, datastack_limit)
#else
#define DATA_FIELDS(FIELD)
#endif

#define DECLARE(type, ours, theirs) type ours;
struct data_stack {
    DATA_FIELDS(DECLARE)
};

struct pystate {
    COMMON_FIELDS(DECLARE)
    VERSION_FIELDS(DECLARE)
    struct data_stack data;
    struct depth depth;
};
#undef DECLARE

static inline struct depth pystate_depth(PyThreadState *tstate)
{
    struct depth depth = {.python = DEPTH(tstate)};

#if PY_VERSION_HEX >= 0x030C0000
    depth.c_remaining = tstate->c_recursion_remaining;
#endif
    return depth;
}

/* Moves the running stack's fields, and the references that they hold, to `state`. */
static inline void pystate_save(struct pystate *state, PyThreadState *tstate)
{
#define SAVE(type, ours, theirs) state->ours = tstate->theirs;
#define SAVE_DATA(type, ours, theirs) state->data.ours = tstate->theirs;
    COMMON_FIELDS(SAVE)
    VERSION_FIELDS(SAVE)
    DATA_FIELDS(SAVE_DATA)
    state->depth = pystate_depth(tstate);
}

/* The reverse. */
static inline void pystate_load(struct pystate *state, PyThreadState *tstate)
{
#define LOAD(type, ours, theirs) tstate->theirs = state->ours;
#define LOAD_DATA(type, ours, theirs) tstate->theirs = state->data.ours;
    COMMON_FIELDS(LOAD)
    VERSION_FIELDS(LOAD)
    DATA_FIELDS(LOAD_DATA)
    SET_DEPTH(tstate, state->depth.python);
#if PY_VERSION_HEX >= 0x030C0000
    tstate->c_recursion_remaining = state->depth.c_remaining;
#endif
    state->context = NULL;
    tstate->context_ver++; /* what was looked up in another context is not cached */
#if PY_VERSION_HEX < 0x030C0000
    /* The trace functions are the thread's, and may have been set by another tasklet. */
    bool traced = !tstate->tracing && (tstate->c_tracefunc || tstate->c_profilefunc);
#if PY_VERSION_HEX >= 0x030B0000
    tstate->cframe->use_tracing = traced ? 255 : 0;
#elif PY_VERSION_HEX >= 0x030A0000
    tstate->cframe->use_tracing = traced;
#else
    tstate->use_tracing = traced;
#endif
#endif
}

/* Makes `state` that of an empty Python stack, `depth` calls deep. */
static inline void pystate_init(struct pystate *state, PyThreadState *tstate, struct depth depth,
                                struct data_stack data)
{
    PyObject *context = state->context;

    *state = (struct pystate){.context = context, .exc_info = &tstate->exc_state, .data = data, .depth = depth};
#if PY_VERSION_HEX < 0x030D0000 && PY_VERSION_HEX >= 0x030A0000
    state->cframe = &tstate->root_cframe;
#endif
}

static inline void data_stack_free(struct data_stack *data)
{
#if PY_VERSION_HEX >= 0x030B0000
    PyObjectArenaAllocator arenas;

    PyObject_GetArenaAllocator(&arenas);
    while (data->chunk) {
        _PyStackChunk *chunk = data->chunk;

        data->chunk = chunk->previous;
        arenas.free(arenas.ctx, chunk, chunk->size);
    }
#endif
    (void)data;
}

/* Since 3.12 the chain of Python frames leads through one on the C stack for each call from C to Python. While these
 * are in a suspended slice, the chain has to go past them: anyone may follow it from a frame object (f_back). */
struct shim {
    struct _PyInterpreterFrame *frame, *shim;
};

#if PY_VERSION_HEX >= 0x030C0000
#if PY_VERSION_HEX >= 0x030D0000
#define TOP_FRAME(tstate) ((tstate)->current_frame)
#else
#define TOP_FRAME(tstate) ((tstate)->cframe->current_frame)
#endif

/* The frame whose predecessor is the next shim nearer than `far`, from `frame` on, or null. */
static inline _PyInterpreterFrame *before_shim(_PyInterpreterFrame *frame, void *far)
{
    for (; frame && frame->previous; frame = frame->previous)
        if (frame->previous->owner == FRAME_OWNED_BY_CSTACK)
            return (void *)frame->previous < far ? frame : NULL;
    return NULL;
}

static inline size_t shims_count(PyThreadState *tstate, void *far)
{
    size_t count = 0;

    for (_PyInterpreterFrame *frame = TOP_FRAME(tstate); (frame = before_shim(frame, far)); count++)
        frame = frame->previous;
    return count;
}

static inline void shims_hide(struct shim *shims, size_t count, PyThreadState *tstate, void *far)
{
    _PyInterpreterFrame *frame = TOP_FRAME(tstate);

    for (size_t i = 0; i < count; i++) {
        frame = before_shim(frame, far);
        shims[i] = (struct shim){frame, frame->previous};
        frame->previous = shims[i].shim->previous;
        frame = shims[i].shim;
    }
}

static inline void shims_show(const struct shim *shims, size_t count)
{
    for (size_t i = 0; i < count; i++)
        shims[i].frame->previous = shims[i].shim;
}
#else
static inline size_t shims_count(PyThreadState *tstate, void *far)
{
    (void)tstate, (void)far;
    return 0;
}
static inline void shims_hide(struct shim *shims, size_t count, PyThreadState *tstate, void *far)
{
    (void)shims, (void)count, (void)tstate, (void)far;
}
static inline void shims_show(const struct shim *shims, size_t count)
{
    (void)shims, (void)count;
}
#endif

#endif
