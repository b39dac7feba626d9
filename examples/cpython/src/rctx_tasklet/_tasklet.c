/* Tasklets: Python functions that suspend anywhere, through any C frames, on the thread's one C stack.
 *
 * A suspended tasklet is a slice of rctx's: the bytes of the C stack between rctx_slice_swap and the base, and the
 * part of Python's thread state that belongs to them (pystate.h). The thread's own code is its main tasklet. It
 * captures the base where it switches away, so that its own slice is just the frames of this file; while tasklets are
 * suspended the base only moves towards older frames, because every slice ends there.
 *
 * Every tasklet that is alive and not running waits in exactly one list, which holds the reference to it: that of the
 * thread's runnable ones, or a channel's.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define TESTED "CPython 3.9 to 3.13 with the GIL"

#if PY_VERSION_HEX < 0x03090000 || PY_VERSION_HEX >= 0x030E0000 || defined(Py_GIL_DISABLED) || defined(PYPY_VERSION)

PyMODINIT_FUNC PyInit__tasklet(void)
{
    PyErr_SetString(PyExc_ImportError, "rctx_tasklet has been tested with " TESTED " only; this is "
#if defined(PYPY_VERSION)
                    "PyPy " PYPY_VERSION
#elif defined(Py_GIL_DISABLED)
                    "a free-threaded CPython " PY_VERSION
#else
                    "CPython " PY_VERSION
#endif
    );
    return NULL;
}

#else

#include <errno.h>
#include <rctx.h>
#include <structmember.h>

#include "pystate.h"

/* Circular doubly linked lists; a list's head is a link, too. */

struct link {
    struct link *next, *previous;
};

static void list_init(struct link *list)
{
    list->next = list->previous = list;
}

static bool list_is_empty(const struct link *list)
{
    return list->next == list;
}

static void insert_before(struct link *place, struct link *link)
{
    link->next = place;
    link->previous = place->previous;
    link->previous->next = place->previous = link;
}

static void take_out(struct link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

#define TASKLET_OF(link, member) ((struct tasklet *)((char *)(link)-offsetof(struct tasklet, member)))

enum stage { NEW, STARTED, ENDED };

struct tasklet {
    PyObject_HEAD
    struct thread *thread; /* null when it has ended */
    enum stage stage;
    bool blocked;          /* waits in a channel */
    bool raises;           /* `transfer` is an exception */
    PyObject *transfer;    /* what it receives when it goes on, or what it sends while it is blocked */
    PyObject *func, *args, *kwargs; /* until it starts */
    struct link waiting;   /* in the runnable ones or a channel */
    struct link sibling;   /* in the thread's tasklets */
    rctx_slice_t *slice;
    struct pystate state;
    PyObject *weakrefs;
};

/* What a thread has of its own. It ends with the thread state, in whose dictionary it is. */
struct thread {
    PyThreadState *tstate;
    struct tasklet *current, *main;
    struct tasklet *ended;   /* to be released by the one that runs after it */
    struct link runnable;
    struct link tasklets;    /* all that are alive, without main */
    size_t started;          /* how many of these have a slice that ends at the base, or will have */
    bool closing;
    ucontext_t base;
    char *base_top;          /* the stack pointer where the base was captured */
    struct depth base_depth; /* of calls, there */
    struct data_stack spare; /* of the last tasklet that ended */
};

static PyTypeObject tasklet_type, channel_type;
static PyObject *TaskletExit;

/* Tasklets stay in their thread, so a thread-local address is as good after a switch as before. */
static __thread struct thread *here;

#if PY_VERSION_HEX < 0x030C0000
static PyObject *PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback)
        PyException_SetTraceback(value, traceback);
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return value;
}

static void PyErr_SetRaisedException(PyObject *exception)
{
    PyObject *type = (PyObject *)Py_TYPE(exception);

    Py_INCREF(type);
    PyErr_Restore(type, exception, PyException_GetTraceback(exception));
}
#endif

/* Switching. */

static void make_runnable(struct tasklet *tasklet)
{
    tasklet->blocked = false;
    insert_before(&tasklet->thread->runnable, &tasklet->waiting);
}

static void run_next(struct tasklet *tasklet)
{
    tasklet->blocked = false;
    insert_before(tasklet->thread->runnable.next, &tasklet->waiting);
}

/* Takes a tasklet out of where it waits, to be run; the caller has the list's reference now. */
static struct tasklet *claim(struct tasklet *tasklet)
{
    take_out(&tasklet->waiting);
    tasklet->blocked = false;
    return tasklet;
}

/* What a waiting tasklet goes on with, instead of what it may have had to send. Takes the reference. */
static void set_transfer(struct tasklet *tasklet, PyObject *object, bool raises)
{
    Py_XSETREF(tasklet->transfer, object);
    tasklet->raises = raises;
}

/* Chooses who runs when the running tasklet cannot go on: main, if there is an exception for it (whose reference is
 * taken) or nobody else. */
static struct tasklet *choose(struct thread *thread, PyObject *exception)
{
    if (!exception) {
        if (!list_is_empty(&thread->runnable))
            return claim(TASKLET_OF(thread->runnable.next, waiting));
        PyErr_SetString(PyExc_RuntimeError, "deadlock: every tasklet of this thread waits in a channel");
        exception = PyErr_GetRaisedException();
    }
    set_transfer(thread->main, exception, true);
    return claim(thread->main);
}

/* Releases the tasklet that ended before the running one went on. */
static void settle(struct thread *thread)
{
    struct tasklet *ended = thread->ended;

    if (ended) {
        thread->ended = NULL;
        Py_CLEAR(ended->state.context);
        Py_DECREF(ended);
    }
}

static void end(struct tasklet *tasklet)
{
    tasklet->thread->started -= tasklet->stage == STARTED;
    take_out(&tasklet->sibling);
    tasklet->stage = ENDED;
    tasklet->thread = NULL;
    rctx_slice_free(tasklet->slice);
    tasklet->slice = NULL;
}

static void run(void *arg);

/* Leaves the running frames for those of `to`, and keeps them in `from` unless it is null. */
static int leave(struct thread *thread, rctx_slice_t **from, struct tasklet *to)
{
    thread->current = to;
    return to->stage == NEW ? rctx_slice_start(from, &thread->base, run, to)
                            : rctx_slice_swap(from, to->slice, &thread->base);
}

/* What a tasklet begins with at the base, in place of the frames that were there. */
static void run(void *arg)
{
    struct tasklet *self = arg;
    struct thread *thread = self->thread;
    PyObject *func = self->func, *args = self->args, *kwargs = self->kwargs, *result, *exception = NULL;

    self->stage = STARTED;
    thread->started++;
    self->func = self->args = self->kwargs = NULL;
    pystate_init(&self->state, thread->tstate, thread->base_depth, thread->spare);
    thread->spare = (struct data_stack){0};
    pystate_load(&self->state, thread->tstate);
    settle(thread);

    result = PyObject_Call(func, args, kwargs);
    if (!result) {
        if (PyErr_ExceptionMatches(TaskletExit))
            PyErr_Clear();
        else
            exception = PyErr_GetRaisedException();
    }
    Py_XDECREF(result);
    Py_DECREF(func);
    Py_DECREF(args);
    Py_XDECREF(kwargs);

    /* No Python code runs from here on. */
    pystate_save(&self->state, thread->tstate);
    data_stack_free(&thread->spare);
    thread->spare = self->state.data;
    end(self);
    thread->ended = self;
    leave(thread, NULL, choose(thread, exception));
    Py_FatalError("rctx_tasklet: no tasklet can be resumed");
}

/* Suspends the running tasklet's Python state and its slice, in which `shims` frames of Python's are; runs `to`. */
__attribute__((noinline)) static int swap(struct thread *thread, struct tasklet *to, size_t shims)
{
    struct tasklet *self = thread->current;
    struct shim hidden[shims + 1];
    int status;

    shims_hide(hidden, shims, thread->tstate, thread->base_top);
    pystate_save(&self->state, thread->tstate);
    status = leave(thread, &self->slice, to);
    pystate_load(&self->state, thread->tstate);
    shims_show(hidden, shims);
    return status;
}

/* Suspends the running tasklet, which waits somewhere already, and runs `to`, which waits no longer. Returns what the
 * suspended one receives when it goes on, or null with its exception set. The frame that the base names is this one. */
__attribute__((noinline)) static PyObject *switch_to(struct thread *thread, struct tasklet *to)
{
    struct tasklet *self = thread->current;
    char *top = getstacktop();
    PyObject *received;
    size_t shims = 0;

    if (self == thread->main && (!thread->started || top > thread->base_top)) {
        rctx_getcontext(&thread->base);
        thread->base_top = top;
        thread->base_depth = pystate_depth(thread->tstate);
    } else {
        shims = shims_count(thread->tstate, thread->base_top);
    }
    if (swap(thread, to, shims) == -1) { /* nothing was switched */
        int error = errno;

        thread->current = claim(self);
        run_next(to);
        Py_CLEAR(self->transfer);
        errno = error;
        return error == ENOMEM ? PyErr_NoMemory() : PyErr_SetFromErrno(PyExc_RuntimeError);
    }
    settle(thread);
    received = self->transfer;
    self->transfer = NULL;
    if (!received)
        Py_RETURN_NONE;
    if (self->raises) {
        self->raises = false;
        PyErr_SetRaisedException(received);
        return NULL;
    }
    return received;
}

/* Threads. */

/* Raises TaskletExit in a tasklet, or what it is to raise instead. */
static PyObject *kill_tasklet(struct tasklet *tasklet, PyObject *exception)
{
    struct thread *thread = tasklet->thread;

    if (tasklet == thread->current) {
        PyErr_SetRaisedException(exception);
        return NULL;
    }
    claim(tasklet);
    if (tasklet->stage == NEW) {
        end(tasklet);
        Py_DECREF(tasklet);
        Py_DECREF(exception);
        Py_RETURN_NONE;
    }
    set_transfer(tasklet, exception, true);
    run_next(thread->current);
    return switch_to(thread, tasklet);
}

/* Gives up a suspended tasklet: its frames are never resumed, and what they refer to is never released. */
static void abandon(struct tasklet *tasklet)
{
    claim(tasklet);
    end(tasklet);
    Py_DECREF(tasklet);
}

/* Ends every tasklet of a thread: kills it if the thread's main tasklet is running and may run Python code, abandons
 * it otherwise or if it lives on. */
static void close_thread(struct thread *thread, bool may_run)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    thread->closing = true;
    while (!list_is_empty(&thread->tasklets)) {
        struct tasklet *tasklet = TASKLET_OF(thread->tasklets.next, sibling);

        if (tasklet == thread->current)
            break; /* the interpreter ends within a tasklet */
        Py_INCREF(tasklet);
        if (may_run && thread->current == thread->main) {
            PyObject *exception = PyObject_CallNoArgs(TaskletExit);
            PyObject *result = exception ? kill_tasklet(tasklet, exception) : NULL;

            if (!result)
                PyErr_WriteUnraisable((PyObject *)tasklet);
            Py_XDECREF(result);
        }
        if (tasklet->stage != ENDED)
            abandon(tasklet);
        Py_DECREF(tasklet);
    }
    thread->closing = false;
    PyErr_Restore(type, value, traceback);
}

static bool interpreter_ends(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}

#define KEY "rctx_tasklet"

/* Called with the thread state's dictionary, by the thread as it ends or by another: by the one that ends the
 * interpreter, or in the child of a fork. */
static void thread_free(PyObject *capsule)
{
    struct thread *thread = PyCapsule_GetPointer(capsule, KEY);

    close_thread(thread, thread == here && !interpreter_ends());
    if (thread == here)
        here = NULL;
    if (thread->current == thread->main) {
        thread->main->stage = ENDED;
        thread->main->thread = NULL;
        rctx_slice_free(thread->main->slice);
        thread->main->slice = NULL;
        Py_DECREF(thread->main);
        data_stack_free(&thread->spare);
        PyMem_Free(thread);
    }
}

static struct tasklet *tasklet_alloc(PyTypeObject *type, struct thread *thread)
{
    struct tasklet *self = (struct tasklet *)type->tp_alloc(type, 0); /* zeroed */

    if (self) {
        self->thread = thread;
        list_init(&self->waiting);
        list_init(&self->sibling);
    }
    return self;
}

/* The running thread's, found or made. Null with an exception set if it cannot be made. */
static struct thread *thread_find(PyThreadState *tstate)
{
    PyObject *dict = PyThreadState_GetDict(), *capsule;
    struct thread *thread;

    if (!dict)
        return (struct thread *)PyErr_NoMemory();
    capsule = PyDict_GetItemString(dict, KEY);
    if (capsule)
        return here = PyCapsule_GetPointer(capsule, KEY);
    thread = PyMem_Calloc(1, sizeof *thread);
    if (!thread)
        return (struct thread *)PyErr_NoMemory();
    thread->tstate = tstate;
    list_init(&thread->runnable);
    list_init(&thread->tasklets);
    thread->current = thread->main = tasklet_alloc(&tasklet_type, thread);
    capsule = thread->main ? PyCapsule_New(thread, KEY, thread_free) : NULL;
    if (!capsule) {
        Py_XDECREF(thread->main);
        PyMem_Free(thread);
        return NULL;
    }
    thread->main->stage = STARTED;
    here = thread;
    if (PyDict_SetItemString(dict, KEY, capsule) == -1)
        thread = NULL;
    Py_DECREF(capsule); /* which frees the thread's if it is in no dictionary */
    return thread;
}

static struct thread *thread_get(void)
{
    PyThreadState *tstate = PyThreadState_Get();

    return here && here->tstate == tstate ? here : thread_find(tstate);
}

/* The running thread's, if `self` belongs to it; null with an exception set otherwise. */
static struct thread *thread_of(struct tasklet *self)
{
    struct thread *thread = thread_get();

    if (thread && self->thread != thread) {
        PyErr_SetString(PyExc_RuntimeError, "the tasklet belongs to another thread");
        return NULL;
    }
    return thread;
}

/* Tasklets. */

static PyObject *tasklet_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct thread *thread = thread_get();
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    struct tasklet *self;

    if (!thread)
        return NULL;
    if (!count || !PyCallable_Check(PyTuple_GET_ITEM(args, 0))) {
        PyErr_SetString(PyExc_TypeError, "tasklet(func, *args, **kwargs): func must be callable");
        return NULL;
    }
    if (thread->closing) {
        PyErr_SetString(PyExc_RuntimeError, "the thread's tasklets are being ended");
        return NULL;
    }
    self = tasklet_alloc(type, thread);
    if (!self)
        return NULL;
    self->stage = ENDED; /* until nothing can fail */
    self->func = PyTuple_GET_ITEM(args, 0);
    Py_INCREF(self->func);
    self->args = PyTuple_GetSlice(args, 1, count);
    Py_XINCREF(kwargs);
    self->kwargs = kwargs;
    if (thread->tstate->context)
        self->state.context = PyContext_CopyCurrent();
    if (!self->args || PyErr_Occurred()) {
        Py_DECREF(self);
        return NULL;
    }
    self->stage = NEW;
    insert_before(&thread->tasklets, &self->sibling);
    make_runnable(self);
    Py_INCREF(self); /* the list's */
    return (PyObject *)self;
}

/* Frames of a suspended tasklet cannot be visited: what they refer to counts as referred to from outside. */
static int tasklet_traverse(struct tasklet *self, visitproc visit, void *arg)
{
    Py_VISIT(self->func);
    Py_VISIT(self->args);
    Py_VISIT(self->kwargs);
    Py_VISIT(self->transfer);
    return 0;
}

static int tasklet_clear(struct tasklet *self)
{
    Py_CLEAR(self->func);
    Py_CLEAR(self->args);
    Py_CLEAR(self->kwargs);
    Py_CLEAR(self->transfer);
    return 0;
}

/* Only one that has ended: the others are referred to by the list that they wait in. */
static void tasklet_dealloc(struct tasklet *self)
{
    PyObject_GC_UnTrack(self);
    if (self->weakrefs)
        PyObject_ClearWeakRefs((PyObject *)self);
    tasklet_clear(self);
    Py_CLEAR(self->state.context);
    Py_TYPE(self)->tp_free(self);
}

PyDoc_STRVAR(switch_doc, "switch($self, /)\n--\n\n"
                         "Run this tasklet now. The caller stays runnable, and is the next one to run.");

static PyObject *tasklet_switch(struct tasklet *self, PyObject *ignored)
{
    struct thread *thread;

    (void)ignored;
    if (self->stage == ENDED) {
        PyErr_SetString(PyExc_RuntimeError, "the tasklet has ended");
        return NULL;
    }
    thread = thread_of(self);
    if (!thread)
        return NULL;
    if (self == thread->current)
        Py_RETURN_NONE;
    if (self->blocked) {
        PyErr_SetString(PyExc_RuntimeError, "the tasklet waits in a channel");
        return NULL;
    }
    claim(self);
    run_next(thread->current);
    return switch_to(thread, self);
}

PyDoc_STRVAR(kill_doc, "kill($self, exception=TaskletExit, /)\n--\n\n"
                       "Raise an exception where this tasklet is suspended, and run it now.\n\n"
                       "The caller is the next one to run. TaskletExit ends the tasklet quietly if it is not caught.\n"
                       "A tasklet that has not begun ends without running; one that has ended is left alone.");

static PyObject *tasklet_kill(struct tasklet *self, PyObject *args)
{
    PyObject *exception = TaskletExit;

    if (!PyArg_ParseTuple(args, "|O:kill", &exception))
        return NULL;
    if (self->stage == ENDED)
        Py_RETURN_NONE;
    if (!thread_of(self))
        return NULL;
    if (PyExceptionClass_Check(exception)) {
        exception = PyObject_CallNoArgs(exception);
        if (!exception)
            return NULL;
    } else {
        Py_INCREF(exception);
    }
    if (!PyExceptionInstance_Check(exception)) {
        Py_DECREF(exception);
        PyErr_SetString(PyExc_TypeError, "kill() takes an exception, or a class of exceptions");
        return NULL;
    }
    if (self->stage == ENDED) { /* by the constructor of the exception */
        Py_DECREF(exception);
        Py_RETURN_NONE;
    }
    return kill_tasklet(self, exception);
}

static PyObject *tasklet_alive(struct tasklet *self, void *ignored)
{
    (void)ignored;
    return PyBool_FromLong(self->stage != ENDED);
}

static PyMethodDef tasklet_methods[] = {
    {"switch", (PyCFunction)tasklet_switch, METH_NOARGS, switch_doc},
    {"kill", (PyCFunction)tasklet_kill, METH_VARARGS, kill_doc},
    {0},
};

static PyGetSetDef tasklet_getset[] = {
    {"alive", (getter)tasklet_alive, NULL, "Whether the tasklet has not ended.", NULL},
    {0},
};

PyDoc_STRVAR(tasklet_doc, "tasklet(func, *args, **kwargs)\n--\n\n"
                          "A call of func that can be suspended anywhere. It is runnable as soon as it is made.");

static PyTypeObject tasklet_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "rctx_tasklet.tasklet",
    .tp_doc = tasklet_doc,
    .tp_basicsize = sizeof(struct tasklet),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_new = tasklet_new,
    .tp_dealloc = (destructor)tasklet_dealloc,
    .tp_traverse = (traverseproc)tasklet_traverse,
    .tp_clear = (inquiry)tasklet_clear,
    .tp_weaklistoffset = offsetof(struct tasklet, weakrefs),
    .tp_methods = tasklet_methods,
    .tp_getset = tasklet_getset,
};

/* Channels. */

struct channel {
    PyObject_HEAD
    struct link waiting; /* tasklets, all senders or all receivers */
    bool sending;        /* which of the two */
    PyObject *weakrefs;
};

static PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    struct channel *self;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":channel", keywords))
        return NULL;
    self = (struct channel *)type->tp_alloc(type, 0);
    if (self)
        list_init(&self->waiting);
    return (PyObject *)self;
}

static int channel_traverse(struct channel *self, visitproc visit, void *arg)
{
    for (struct link *link = self->waiting.next; link != &self->waiting; link = link->next)
        Py_VISIT(TASKLET_OF(link, waiting));
    return 0;
}

/* Nobody waits in it: whoever does has a frame that refers to it. */
static void channel_dealloc(struct channel *self)
{
    PyObject_GC_UnTrack(self);
    if (self->weakrefs)
        PyObject_ClearWeakRefs((PyObject *)self);
    Py_TYPE(self)->tp_free(self);
}

/* The running thread, if the channel is not in use by another. */
static struct thread *channel_thread(struct channel *self)
{
    struct thread *thread = thread_get();

    if (thread && !list_is_empty(&self->waiting) && TASKLET_OF(self->waiting.next, waiting)->thread != thread) {
        PyErr_SetString(PyExc_RuntimeError, "the channel is in use by another thread");
        return NULL;
    }
    return thread;
}

/* The one that waits for the caller to receive or send, made runnable; or null. */
static struct tasklet *channel_partner(struct channel *self, bool sending)
{
    struct tasklet *partner;

    if (list_is_empty(&self->waiting) || self->sending != sending)
        return NULL;
    partner = claim(TASKLET_OF(self->waiting.next, waiting));
    make_runnable(partner);
    return partner;
}

/* Waits in the channel. `value` is what to send, or null. */
static PyObject *channel_wait(struct channel *self, struct thread *thread, PyObject *value)
{
    struct tasklet *current = thread->current, *next;

    self->sending = value != NULL;
    Py_XINCREF(value);
    set_transfer(current, value, false);
    current->blocked = true;
    insert_before(&self->waiting, &current->waiting);
    next = choose(thread, NULL);
    if (next != current)
        return switch_to(thread, next);
    PyErr_SetRaisedException(current->transfer); /* main, and nobody else is runnable */
    current->transfer = NULL;
    current->raises = false;
    return NULL;
}

PyDoc_STRVAR(send_doc, "send($self, value, /)\n--\n\n"
                       "Give a value to the tasklet that waits longest for one, or wait until one asks for it.");

static PyObject *channel_send(struct channel *self, PyObject *value)
{
    struct thread *thread = channel_thread(self);
    struct tasklet *receiver;

    if (!thread)
        return NULL;
    receiver = channel_partner(self, false);
    if (!receiver)
        return channel_wait(self, thread, value);
    Py_INCREF(value);
    set_transfer(receiver, value, false);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(receive_doc, "receive($self, /)\n--\n\n"
                          "Take the value of the tasklet that waits longest to send one, or wait for one.");

static PyObject *channel_receive(struct channel *self, PyObject *ignored)
{
    struct thread *thread = channel_thread(self);
    struct tasklet *sender;
    PyObject *value;

    (void)ignored;
    if (!thread)
        return NULL;
    sender = channel_partner(self, true);
    if (!sender)
        return channel_wait(self, thread, NULL);
    value = sender->transfer;
    sender->transfer = NULL;
    return value;
}

static PyMethodDef channel_methods[] = {
    {"send", (PyCFunction)channel_send, METH_O, send_doc},
    {"receive", (PyCFunction)channel_receive, METH_NOARGS, receive_doc},
    {0},
};

PyDoc_STRVAR(channel_doc, "channel()\n--\n\n"
                          "Hands values from tasklet to tasklet of one thread. It holds none: who comes first waits.");

static PyTypeObject channel_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "rctx_tasklet.channel",
    .tp_doc = channel_doc,
    .tp_basicsize = sizeof(struct channel),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = channel_new,
    .tp_dealloc = (destructor)channel_dealloc,
    .tp_traverse = (traverseproc)channel_traverse,
    .tp_weaklistoffset = offsetof(struct channel, weakrefs),
    .tp_methods = channel_methods,
};

/* The module. */

PyDoc_STRVAR(schedule_doc, "schedule()\n--\n\n"
                           "Give each other runnable tasklet its turn. Returns when the caller's comes.");

static PyObject *schedule(PyObject *module, PyObject *ignored)
{
    struct thread *thread = thread_get();

    (void)module, (void)ignored;
    if (!thread)
        return NULL;
    if (list_is_empty(&thread->runnable))
        Py_RETURN_NONE;
    make_runnable(thread->current);
    return switch_to(thread, choose(thread, NULL));
}

PyDoc_STRVAR(current_doc, "current()\n--\n\nThe running tasklet. A thread's own code is its main tasklet.");

static PyObject *current(PyObject *module, PyObject *ignored)
{
    struct thread *thread = thread_get();

    (void)module, (void)ignored;
    if (!thread)
        return NULL;
    Py_INCREF(thread->current);
    return (PyObject *)thread->current;
}

PyDoc_STRVAR(close_doc, "_close()\n--\n\nKill every tasklet of this thread; give up those that live on.");

static PyObject *close_here(PyObject *module, PyObject *ignored)
{
    struct thread *thread = thread_get();

    (void)module, (void)ignored;
    if (!thread)
        return NULL;
    close_thread(thread, true);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"schedule", schedule, METH_NOARGS, schedule_doc},
    {"current", current, METH_NOARGS, current_doc},
    {"_close", close_here, METH_NOARGS, close_doc},
    {0},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_tasklet", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit__tasklet(void)
{
    PyObject *module;

    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "rctx_tasklet does not support subinterpreters");
        return NULL;
    }
    TaskletExit = PyErr_NewExceptionWithDoc("rctx_tasklet.TaskletExit", "Ends a tasklet.", PyExc_BaseException, NULL);
    module = PyModule_Create(&definition);
    Py_XINCREF(TaskletExit); /* one reference is the module's */
    if (!TaskletExit || !module || PyModule_AddObject(module, "TaskletExit", TaskletExit) == -1 ||
        PyModule_AddType(module, &tasklet_type) == -1 || PyModule_AddType(module, &channel_type) == -1) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}

#endif
