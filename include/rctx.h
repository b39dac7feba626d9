/* rctx: POSIX contexts and stack slicing for Linux.
 *
 * getcontext, setcontext, makecontext and swapcontext are declared by <ucontext.h>; the library defines
 * them as well, and what it adds is declared here. Their errors, which others have too, are in the manual:
 * rctx_getcontext(3) and rctx_makecontext(3). Errors are -1 and errno unless a comment says otherwise.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef RCTX_H
#define RCTX_H

/* Generated from the Rust sources by `make header`: change those, not this file. */

#include <signal.h>
#include <stddef.h>
#include <ucontext.h>

/* Compilers know by its name that getcontext returns twice; these must say so, or locals are wrong at the
 * second return. */
#define RCTX_RETURNS_TWICE __attribute__((__returns_twice__))

/**
 * The unprefixed functions save and install the signal mask, with one system call a swap. The default.
 */
#define RCTX_SIGMASK_POSIX 0

/**
 * The unprefixed functions leave the signal mask alone.
 */
#define RCTX_SIGMASK_NONE 1

/**
 * The unprefixed functions save and install the signal mask, and make the system call only where the mask changes
 * or is not known. It takes librctx-track.so, preloaded or linked, which sees what changes the mask; without it
 * this is `RCTX_SIGMASK_POSIX`.
 */
#define RCTX_SIGMASK_TRACK 2

/**
 * How much of the caller's own memory in `uc_stack` the library uses for itself, in bytes.
 */
#define RCTX_SLICE_OVERHEAD 64

/**
 * `op` of the first call of a hook by `rctx_switch`: save what is to be kept, choose the stack pointer.
 */
#define RCTX_SAVE 0

/**
 * `op` of the second call of a hook by `rctx_switch`: put the target's bytes back.
 */
#define RCTX_RESTORE 1

/**
 * `op` of the call of a hook by `rctx_call`.
 */
#define RCTX_CALL 2

/**
 * What the handle points to; opaque in C.
 */
typedef struct rctx_slice rctx_slice_t;

/**
 * A hook of `rctx_switch` and `rctx_call`.
 *
 * - `arg`: what the function was given.
 * - `op`: `RCTX_SAVE`, `RCTX_RESTORE` or `RCTX_CALL`.
 * - `stacktop`: a stack pointer; each function says which.
 */
typedef void *(*rctx_hook_t)(void *arg, int op, void *stacktop);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The library's version, "major.minor.patch".
 *
 * Returns a static string that is never freed. Async-signal-safe, thread-safe, cannot fail.
 */
const char *rctx_version(void);

/**
 * `getcontext` without the signal mask and without a system call.
 *
 * - `ucp`: written, never read; may be uninitialised. Owned by the caller.
 *
 * Returns 0, at the call and at each resume, or -1 with errno `EFAULT` for a null pointer.
 * Async-signal-safe, thread-safe.
 *
 * Safety: As `getcontext`.
 */
int rctx_getcontext(ucontext_t *ucp) RCTX_RETURNS_TWICE;

/**
 * `setcontext` that leaves the signal mask alone and makes no system call (a signal handler's context
 * excepted, which the kernel resumes with its mask).
 *
 * - `ucp`: as for `setcontext`, with the same errors. Async-signal-safe, thread-safe.
 *
 * Safety: As `setcontext`.
 */
int rctx_setcontext(const ucontext_t *ucp);

/**
 * `swapcontext` that leaves the signal mask alone and makes no system call (a signal handler's context
 * excepted, which the kernel resumes with its mask).
 *
 * - `oucp`, `ucp`: as for `swapcontext`, with the same errors. Async-signal-safe, thread-safe.
 *
 * Safety: As `swapcontext`.
 */
int rctx_swapcontext(ucontext_t *oucp, const ucontext_t *ucp);

/**
 * `makecontext` without variable arguments: one pointer, no cast of `func`.
 *
 * - `ucp`: as for `makecontext`, with the same errors.
 * - `func`, `arg`: the function and its argument.
 *
 * Async-signal-safe, thread-safe.
 *
 * Safety: As `makecontext`.
 */
void rctx_makecontext(ucontext_t *ucp, void (*func)(void *arg), void *arg);

/**
 * Chooses how the unprefixed functions treat the signal mask, for the whole process.
 *
 * - `policy`: `RCTX_SIGMASK_POSIX`, `RCTX_SIGMASK_NONE` or `RCTX_SIGMASK_TRACK`. Where masks cannot be tracked,
 *   because librctx-track.so is neither preloaded nor linked, `RCTX_SIGMASK_TRACK` is `RCTX_SIGMASK_POSIX`: a
 *   second call tells, since it returns what is in force.
 *
 * Returns the policy before, or -1 with errno `EINVAL` for a number that is no policy, which changes
 * nothing. Contexts that exist keep or lack their mask as they were saved. Async-signal-safe and
 * thread-safe; a swap that runs in another thread meanwhile follows either policy.
 */
int rctx_sigmask(int policy);

/**
 * Suspends the caller into `*from` and calls `func(arg)` at `base`'s position on the stack.
 *
 * - `from`: the caller's handle, outside the slice: null, or the block of an earlier suspension, which is
 *   reused and may move; changed only on success. A null `from` drops the running context.
 * - `base`: a context that the running thread captured with `getcontext` in a frame that is still active
 *   further up this stack.
 * - `func`, `arg`: the function, which does not return: it leaves by `rctx_slice_swap` with a null `from`.
 *   Returning ends the process with a line on stderr.
 *
 * Returns 0 each time that the caller is resumed, or -1 with errno: `EFAULT` for a null `base`; `EINVAL`
 * for a null `func`, an unusable base or a `from` inside the slice; `ENOMEM`. Never touches the signal
 * mask. Thread-safe; async-signal-safe when it does not allocate.
 *
 * Safety: `base` is null or a live capture. Nobody uses pointers into the slice while it is suspended.
 */
int rctx_slice_start(rctx_slice_t **from, const ucontext_t *base, void (*func)(void *arg), void *arg);

/**
 * Suspends the caller into `*from` and resumes `to`.
 *
 * - `from`: as for `rctx_slice_start`.
 * - `to`: what to resume. It is not consumed: it may be resumed again.
 * - `base`: as for `rctx_slice_start`; may be null when `from` is.
 *
 * Returns 0 each time that the caller is resumed, or -1 with errno: `EFAULT` for a null `to`, or a null
 * `base` with a `from`; `EINVAL` for an unusable base, a `to` that reaches past it or belongs to another
 * thread, a `from` inside the slice; `ENOMEM`. Never touches the signal mask and makes no system call on
 * the steady path. Thread-safe; async-signal-safe when it does not allocate.
 *
 * Safety: As `rctx_slice_start`; `to` is null or a live handle.
 */
int rctx_slice_swap(rctx_slice_t **from, rctx_slice_t *to, const ucontext_t *base);

/**
 * Releases a handle's block. A null pointer does nothing. The block of a running context may be released,
 * and its handle set to null. Thread-safe; not async-signal-safe.
 *
 * Safety: `slice` is null or a live handle, which ends here.
 */
void rctx_slice_free(rctx_slice_t *slice);

/**
 * Suspends the caller into `oucp` with its slice, the stack between the caller and `base`, and resumes
 * `ucp`, putting its slice back at the addresses that it came from.
 *
 * - `oucp`: an initialised context: its `uc_stack` is zero, and the library allocates, or names the
 *   caller's own memory of `RCTX_SLICE_OVERHEAD` bytes more than the slice. May be the same as `ucp`: then
 *   the slice is replaced and the call returns.
 * - `ucp`: any context that can be resumed.
 * - `base`: a context that the running thread captured with `getcontext` in a frame that is still active
 *   further up this stack; frames older than it are shared and never copied. Null saves no slice.
 *
 * Returns 0 when the caller is resumed. Returns -1 with errno `EFAULT` for a null context; `ENOMEM` when
 * memory cannot be had or the caller's is too small; `EINVAL` for a base that is nearer than the caller, of
 * another thread or on another stack, a slice of `ucp` that reaches past the base or belongs to another
 * thread, an assigned copy as `oucp`, a `uc_stack` that is the running stack, and for `oucp`, `ucp` or a
 * buffer inside bytes that the switch overwrites; or as `setcontext`. Nothing was switched then, and no
 * context has changed. The signal mask is kept as by `swapcontext`. Thread-safe; async-signal-safe when it
 * does not allocate: when the slice fits where the last one went.
 *
 * Safety: Nobody uses pointers into the slice while it is suspended; `base`'s frame is still active.
 */
int swapcontext_sliced(ucontext_t *oucp, const ucontext_t *ucp, const ucontext_t *base);

/**
 * `swapcontext_sliced` that leaves the signal mask alone and makes no system call on the steady path.
 *
 * - `oucp`, `ucp`, `base`: as for `swapcontext_sliced`, with the same errors and safety.
 *
 * Safety: As `swapcontext_sliced`.
 */
int rctx_swapcontext_sliced(ucontext_t *oucp, const ucontext_t *ucp, const ucontext_t *base);

/**
 * Captures the caller with its slice, without the signal mask.
 *
 * - `ucp`: an initialised context, as `oucp` of `swapcontext_sliced`.
 * - `base`: as there.
 *
 * Returns 0 now and again at each resume, with the frames as they were at the call; or -1 with errno as
 * `swapcontext_sliced`. Thread-safe; async-signal-safe when it does not allocate.
 *
 * Safety: As `swapcontext_sliced`.
 */
int rctx_getcontext_sliced(ucontext_t *ucp, const ucontext_t *base) RCTX_RETURNS_TWICE;

/**
 * Makes a context that calls `func(arg)` at `base`'s position on the stack: no stack size, and memory only
 * for what it uses when it is suspended. When `func` returns, the context in `uc_link` is resumed, with its
 * slice if it has one, or the thread exits if it is null.
 *
 * - `ucp`: an initialised context, as `oucp` of `swapcontext_sliced`; it needs no `getcontext` before. Mask
 *   and floating-point environment are the caller's; `uc_sigmask` may be changed afterwards. `uc_link` is
 *   set before the call.
 * - `base`: a context that the running thread captured in a frame that stays active.
 * - `func`, `arg`: the function and its argument.
 *
 * Returns 0, or -1 with errno `EFAULT` for a null context, `EINVAL` for a null `func`, a base of another
 * thread or an assigned copy as `ucp`, `ENOMEM`. Thread-safe; not async-signal-safe unless `uc_stack` names
 * memory.
 *
 * Safety: `ucp` and `base` are null or contexts.
 */
int rctx_makecontext_sliced(ucontext_t *ucp, const ucontext_t *base, void (*func)(void *arg), void *arg);

/**
 * Copies any context, with its slice and with what the pointers inside it lead to.
 *
 * - `dst`: an initialised context; where its slice goes is said by its `uc_stack`, as for `oucp` of
 *   `swapcontext_sliced`.
 * - `src`: unchanged. The context of a signal handler that has not returned may be copied; the copy
 *   outlives the handler.
 *
 * Returns 0, or -1 with errno `EFAULT` for a null pointer; `ENOMEM`; `EINVAL` for an assigned copy as `dst`
 * or of a handler's context as `src`, or a handler's context whose size cannot be told. `dst` is released
 * with `rctx_freecontext`. Thread-safe; async-signal-safe when it does not allocate.
 *
 * Safety: `dst` and `src` are null or contexts that do not overlap.
 */
int rctx_copycontext(ucontext_t *dst, const ucontext_t *src);

/**
 * Releases what the library allocated for a context's slice; the context cannot be resumed afterwards.
 *
 * - `ucp`: a context, or null. One without a slice, and an assigned copy, are left alone.
 *
 * Thread-safe; not async-signal-safe.
 *
 * Safety: `ucp` is null or an initialised context.
 */
void rctx_freecontext(ucontext_t *ucp);

/**
 * The number of stack bytes that a context's slice holds; 0 for a context without one and for null.
 * Async-signal-safe, thread-safe.
 *
 * Safety: `ucp` is null or an initialised context.
 */
size_t rctx_slice_size(const ucontext_t *ucp);

/**
 * Allocates a stack for `makecontext` or `rctx_call`, with a guard page below it.
 *
 * - `ss`: set to the stack: `ss_sp`, `ss_size` (rounded up to whole pages), `ss_flags` 0. Memory is taken
 *   as it is touched. What it holds is not defined: a stack that was released may be given out again.
 * - `size`: bytes that are usable at least.
 *
 * Returns 0, or -1 with errno `EFAULT` for a null `ss`, `EINVAL` for size 0, `ENOMEM` when the memory
 * cannot be had; `*ss` is unchanged then. The stack is released by `rctx_stack_free`. Thread-safe. It takes no
 * lock and calls only the kernel, so it is async-signal-safe, and a child of `fork` may use it at once.
 *
 * Safety: `ss` is null or writable.
 */
int rctx_stack_alloc(stack_t *ss, size_t size);

/**
 * Releases a stack of `rctx_stack_alloc`. Up to 64 released stacks of at most 1 MiB each are kept for the next
 * `rctx_stack_alloc` of the same size, with at most 64 KiB of memory each; the others go back to the kernel.
 *
 * - `ss`: as it was set; null pointer and size 0 are stored in it.
 *
 * Returns 0, or -1 with errno `EFAULT` for a null `ss`, `EINVAL` for a stack that cannot be one of
 * `rctx_stack_alloc`'s or was released before and not given out since. Thread-safe, async-signal-safe and usable
 * after `fork`, as `rctx_stack_alloc`.
 *
 * Safety: `ss` is null or leads to what `rctx_stack_alloc` stored or to no stack. No context runs on it or will be
 * resumed on it.
 */
int rctx_stack_free(stack_t *ss);

/**
 * Pushes every callee-saved register, calls `hook(arg, RCTX_SAVE, sp)`, installs the returned value as the
 * stack pointer, calls `hook(arg, RCTX_RESTORE, sp)` below it and pops the registers from there.
 *
 * - `hook`: called twice, on the running stack and on the chosen one. `sp` is the lowest address that the
 *   resume will read, 16-byte aligned; the registers and the floating-point control words above it belong
 *   to the bytes to save. Returning `sp` unchanged means "no switch". The second call writes only at or
 *   above its `sp`. A hook does not throw, longjmp or switch.
 * - `arg`: passed on.
 *
 * Returns what the second call returned, in the context whose registers were popped. Never touches the
 * signal mask. Async-signal-safe and thread-safe as far as the hook is.
 *
 * Safety: The stack pointer that the hook returns was given to a hook before, and the bytes above it are, after
 * the second call, what they were then.
 */
void *rctx_switch(rctx_hook_t hook, void *arg);

/**
 * Calls `hook(arg, RCTX_CALL, old_sp)` on another stack and returns its result.
 *
 * - `hook`: the function; it may throw through this one, and a backtrace goes on in the caller.
 * - `arg`: passed on.
 * - `stack`: the far end (the top) of the stack to run on, aligned down to 16; null for the running one.
 *
 * `old_sp` is the caller's stack pointer, as `getstacktop` would return it. Async-signal-safe and
 * thread-safe as far as the hook is.
 *
 * Safety: The bytes below `stack` are free and suffice for the hook.
 */
void *rctx_call(rctx_hook_t hook, void *arg, void *stack);

/**
 * Returns the caller's stack pointer at the call: everything of the caller that must survive a switch lies
 * on the older side of it. Async-signal-safe, thread-safe, cannot fail.
 */
void *getstacktop(void);

/**
 * Returns -1 where stacks grow towards lower addresses, +1 where they grow up. Every instruction set that
 * the library knows grows down. Async-signal-safe, thread-safe, cannot fail.
 */
int stack_direction(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RCTX_H */
