//! Saving and loading a `ucontext_t`, and the first frame of a fresh one.

use core::arch::naked_asm;

use libc::ucontext_t;

use super::*;
use crate::context;

/// The mask first, when the policy is POSIX's: it can fail. Then the registers, and the word `PLAIN_MASK` or `PLAIN`.
macro_rules! getcontext {
    (masked) => {
        core::arch::naked_asm!(
            ".error \"getcontext: see {policy}, store {PLAIN_MASK}, fail by {fail}\"",
            policy = sym $crate::sigmask::POLICY,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            fail = sym $crate::context::fail,
        )
    };
    (maskless) => {
        core::arch::naked_asm!(
            ".error \"rctx_getcontext: store {PLAIN}\"",
            PLAIN = const $crate::context::PLAIN,
        )
    };
}

/// The fast path is for the word `PLAIN_MASK`, and `PLAIN` when the mask does not matter.
macro_rules! setcontext {
    (masked) => {
        core::arch::naked_asm!(
            ".error \"setcontext: give up by {resume_or_fail}\"",
            resume_or_fail = sym $crate::context::resume_or_fail,
        )
    };
    (maskless) => {
        core::arch::naked_asm!(".error \"rctx_setcontext\"")
    };
}

/// The two above in one.
macro_rules! swapcontext {
    (masked) => {
        core::arch::naked_asm!(
            ".error \"swapcontext: give up by {prepare}, a save, and {resume}; so where both are one context\"",
            prepare = sym $crate::context::prepare_swap,
            resume = sym $crate::context::resume,
        )
    };
    (maskless) => {
        core::arch::naked_asm!(".error \"rctx_swapcontext\"")
    };
}

/// Lays the variable arguments that came in registers out as an array.
macro_rules! makecontext {
    () => {
        core::arch::naked_asm!(
            ".error \"makecontext: call {make}\"",
            make = sym $crate::posix::make,
        )
    };
}

pub(crate) use {getcontext, makecontext, setcontext, swapcontext};

/// Resumes a context of ours without a slice.
///
/// # Safety
/// `ucp` was saved by us; what the running stack holds is not needed any more, or saved.
#[unsafe(naked)]
pub unsafe extern "C" fn load(ucp: *const ucontext_t) -> ! {
    naked_asm!(".error \"load\"")
}

/// Resumes a context that was filled in by hand or by another implementation.
///
/// # Safety
/// As [`load`].
#[unsafe(naked)]
pub unsafe extern "C" fn load_foreign(ucp: *const ucontext_t) -> ! {
    naked_asm!(".error \"load_foreign\"")
}

/// The function that a context function returns into. Its caller is nobody: the unwinder stops here.
#[unsafe(naked)]
unsafe extern "C" fn trampoline() {
    naked_asm!(
        ".error \"trampoline: call {finish} with uc_link, then {pthread_exit} with 0\"",
        finish = sym context::finish,
        pthread_exit = sym libc::pthread_exit,
    )
}

/// Makes `ucp`, which holds a captured context, start `func` at the stack pointer `sp`, whose bytes are at `frame`
/// for now, and resume `link` when it returns.
///
/// # Safety
/// `ucp` and the [`ENTRY_AREA`] at `frame` are writable.
pub unsafe fn set_entry(
    ucp: *mut ucontext_t,
    sp: usize,
    _frame: *mut usize,
    func: usize,
    _link: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        set_field(ucp, SP, sp);
        set_field(ucp, PC, func);
        let _returns_to = trampoline as *const () as usize;
    }
}

/// Stores the running floating-point environment in `ucp`.
///
/// # Safety
/// `ucp` points to a writable `ucontext_t`.
pub unsafe fn capture_environment(ucp: *mut ucontext_t) {
    // SAFETY: the field lies inside the context.
    unsafe { set_field(ucp, OWNER, thread_pointer()) }
}
