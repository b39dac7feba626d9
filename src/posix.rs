//! The four functions of POSIX.1-2004 and their twins that leave the signal mask alone.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use crate::arch::{self, ucontext_t};
use crate::context::{self, MASK};
use crate::entry;
use crate::fibers;
use crate::sigmask;

/// Saves the calling context; returns a second time when it is resumed.
///
/// - `ucp`: written, never read; may be uninitialised. Owned by the caller.
///
/// Returns 0, at the call and at each resume, or -1 with errno `EFAULT` for a null pointer, or what the
/// system call for the mask answered. Async-signal-safe, thread-safe.
/// Source: POSIX.1-2004, getcontext; the signal mask is saved as the policy says.
///
/// # Safety
/// `ucp` is null or writable. Rust has no way to say that a function returns twice: call it from C.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn getcontext(ucp: *mut ucontext_t) -> c_int {
    arch::getcontext!(masked)
}

/// `getcontext` without the signal mask and without a system call.
///
/// - `ucp`: written, never read; may be uninitialised. Owned by the caller.
///
/// Returns 0, at the call and at each resume, or -1 with errno `EFAULT` for a null pointer.
/// Async-signal-safe, thread-safe.
///
/// # Safety
/// As [`getcontext`].
///
/// cbindgen:postfix=RCTX_RETURNS_TWICE
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn rctx_getcontext(ucp: *mut ucontext_t) -> c_int {
    arch::getcontext!(maskless)
}

/// Resumes a context.
///
/// - `ucp`: a context that was captured, made, or given to a signal handler that has not returned.
///
/// Does not return on success. Returns -1 with errno `EFAULT` for a null pointer; `EINVAL` for a zeroed
/// context, one that `makecontext` could not make, an assigned copy of a signal handler's, a slice of
/// another thread or one that would overwrite `ucp`; `ENOMEM` for one whose stack is too small; or what the
/// system call for the mask answered.
/// Async-signal-safe, thread-safe. Source: POSIX.1-2004, setcontext.
///
/// # Safety
/// `ucp` is null or points to a `ucontext_t`; the frames that it goes on in still exist.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn setcontext(ucp: *const ucontext_t) -> c_int {
    arch::setcontext!(masked)
}

/// `setcontext` that leaves the signal mask alone and makes no system call (a signal handler's context
/// excepted, which the kernel resumes with its mask).
///
/// - `ucp`: as for `setcontext`, with the same errors. Async-signal-safe, thread-safe.
///
/// # Safety
/// As [`setcontext`].
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn rctx_setcontext(ucp: *const ucontext_t) -> c_int {
    arch::setcontext!(maskless)
}

/// Suspends the caller into `oucp` and resumes `ucp`.
///
/// - `oucp`: written, never read; may be uninitialised. Owned by the caller.
/// - `ucp`: as for `setcontext`. If it is `oucp`, the caller is saved and goes on, with the mask that it has.
///
/// Returns 0 when the caller is resumed, maybe in another thread, or -1 with errno as `setcontext`; then
/// nothing was switched and neither context has changed. Async-signal-safe, thread-safe.
/// Source: POSIX.1-2004, swapcontext.
///
/// # Safety
/// As [`setcontext`]; `oucp` is null or writable.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn swapcontext(oucp: *mut ucontext_t, ucp: *const ucontext_t) -> c_int {
    arch::swapcontext!(masked)
}

/// `swapcontext` that leaves the signal mask alone and makes no system call (a signal handler's context
/// excepted, which the kernel resumes with its mask).
///
/// - `oucp`, `ucp`: as for `swapcontext`, with the same errors. Async-signal-safe, thread-safe.
///
/// # Safety
/// As [`swapcontext`].
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn rctx_swapcontext(oucp: *mut ucontext_t, ucp: *const ucontext_t) -> c_int {
    arch::swapcontext!(maskless)
}

/// Changes a captured context so that a resume calls `func` with `argc` arguments on the stack in
/// `uc_stack`; when `func` returns, the context in `uc_link` is resumed, or the thread exits if it is null.
///
/// - `ucp`: captured by `getcontext`; if it never was, mask and floating-point environment are the
///   caller's. `uc_stack` and `uc_link` are read; the stack stays the caller's to release.
/// - `func`: the function, cast to `void (*)(void)`.
/// - `argc`: how many arguments follow, each passed on as a full machine word.
///
/// Returns nothing. A null `ucp` sets errno to `EFAULT`. Other errors are answered by the resume: `EINVAL`
/// for a null `func`, a negative `argc` or no stack, `ENOMEM` when the first frame and the arguments do not
/// fit. Async-signal-safe, thread-safe. Source: POSIX.1-2004, makecontext.
///
/// # Safety
/// `ucp` is null or writable, and the stack is writable and not in use.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn makecontext(
    ucp: *mut ucontext_t,
    func: Option<unsafe extern "C" fn()>,
    argc: c_int, /* ... */
) {
    arch::makecontext!()
}

/// `makecontext` without variable arguments: one pointer, no cast of `func`.
///
/// - `ucp`: as for `makecontext`, with the same errors.
/// - `func`, `arg`: the function and its argument.
///
/// Async-signal-safe, thread-safe.
///
/// # Safety
/// As [`makecontext`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rctx_makecontext(
    ucp: *mut ucontext_t,
    func: Option<unsafe extern "C" fn(arg: *mut c_void)>,
    arg: *mut c_void,
) {
    // SAFETY: one argument, passed on as it came.
    unsafe { make_context(ucp, func.map_or(0, |func| func as usize), 1, |_| arg as usize) }
}

/// How many variable arguments come in registers: behind the three fixed ones.
const VARIADIC_REGISTERS: usize = arch::ARGUMENT_REGISTERS.len().saturating_sub(3);

/// What the body of `makecontext` calls: the variable arguments stand in two arrays.
///
/// # Safety
/// Called from the arch body only.
pub unsafe extern "C" fn make(
    ucp: *mut ucontext_t,
    func: usize,
    argc: c_int,
    in_registers: *const usize,
    on_stack: *const usize,
) {
    // SAFETY: whatever is read is passed on; the arrays are the caller's registers and stack.
    unsafe {
        make_context(ucp, func, argc, |index| match index.checked_sub(VARIADIC_REGISTERS) {
            None => in_registers.add(index).read_volatile(),
            Some(index) => on_stack.add(index).read_volatile(),
        });
    }
}

/// # Safety
/// As [`makecontext`].
unsafe fn make_context(
    ucp: *mut ucontext_t,
    func: usize,
    argc: c_int,
    argument: impl Fn(usize) -> usize,
) {
    if ucp.is_null() {
        context::fail(libc::EFAULT);
        return;
    }
    // SAFETY: `ucp` is writable; the stack is the one that the caller set for this context.
    unsafe {
        let holds_mask = if context::is_ours(context::word(ucp)) {
            context::word(ucp) & MASK != 0
        } else {
            adopt_caller(ucp)
        };
        let stack = (*ucp).uc_stack;
        let low = stack.ss_sp as usize;
        let outcome = match (usize::try_from(argc), low.checked_add(stack.ss_size)) {
            (Ok(argc), Some(high)) if func != 0 && low != 0 && high != low => {
                entry::make(ucp, (low, high), 0, func, argc, argument, (*ucp).uc_link)
            }
            _ => Err(libc::EINVAL),
        };
        let word = match outcome {
            Ok(()) => {
                fibers::made(low, low + stack.ss_size);
                fibers::captured() | (holds_mask as usize * MASK)
            }
            Err(errno) => context::poison(errno),
        };
        context::set_word(ucp, word);
    }
}

/// Gives a context that was never captured the caller's mask and floating-point environment. Returns whether
/// it holds a mask now.
///
/// # Safety
/// `ucp` is writable.
pub unsafe fn adopt_caller(ucp: *mut ucontext_t) -> bool {
    // SAFETY: the caller's promise. Where the mask cannot be read, a seccomp filter forbids it: then the
    // context holds none.
    unsafe {
        arch::capture_environment(ucp);
        sigmask::policy() != sigmask::Policy::None
            && sigmask::exchange(null_mut(), &raw mut (*ucp).uc_sigmask).is_ok()
    }
}
